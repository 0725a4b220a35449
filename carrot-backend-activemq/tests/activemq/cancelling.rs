//! Cancelled subscriptions on a real broker, at the address in `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete, DeleteIf,
    Extent, Publication, Rejection,
};
use carrot_core::{ConnectionOptions, Queue};

const SOON: Duration = Duration::from_secs(20);

/// The broker still sends messages to the subscription that ends.
#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_under_way_to_a_subscription_that_ends_return_in_order() {
    let url = std::env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap();
    let connector = ActiveMqConnector::new(&url.parse::<ConnectionOptions>().unwrap()).unwrap();
    let queue = format!("carrot.test.ended.{}", std::process::id());
    let open = |options: ChannelOptions| connector.open(&options, SOON).unwrap();
    let (publishing, consuming) =
        (open(ChannelOptions::publish()), open(ChannelOptions::consume()));
    consuming.declare(Declare::Queue(&Queue::new(&*queue)), SOON).unwrap();
    for is_cancelled in [false, true].repeat(20) {
        for number in 0..5 {
            let content = Arc::new(Content::new("", &*queue, vec![number]));
            let tag = publishing.publish(&Publication::new(&content), SOON).unwrap();
            publishing.confirm(tag, SOON).unwrap();
        }
        let options = ConsumeOptions::with_prefetch(32);
        let subscription = consuming.consume(&queue, &options, SOON).unwrap();
        let first = subscription.next(SOON).unwrap().unwrap();
        if is_cancelled {
            subscription.cancel(SOON).unwrap();
            while let Ok(Some(delivery)) = subscription.next(Duration::ZERO) {
                consuming.reject(delivery.tag, Rejection::Requeue, Extent::One).unwrap();
            }
        }
        drop(subscription);
        let bodies: Vec<u8> = (1..5)
            .map(|_| consuming.get(&queue, Acknowledgement::Automatic, SOON).unwrap().unwrap())
            .map(|delivery| delivery.content.body[0])
            .collect();
        consuming.ack(first.tag, Extent::One).unwrap();
        assert_eq!(bodies, [1, 2, 3, 4], "cancelled: {is_cancelled}");
    }
    let deletion = Delete::Queue { name: &queue, condition: DeleteIf::ALWAYS };
    consuming.delete(deletion, SOON).unwrap();
}
