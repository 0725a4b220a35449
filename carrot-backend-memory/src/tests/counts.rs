use carrot_core::Queue;
use carrot_core::backend::{Acknowledgement, Extent, Rejection};

use crate::tests::{BrokerFixture, SOON};

#[test]
fn counts_have_every_publication_and_delivery() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").max_length(2));
    let counts = || fixture.broker.queue_counts("q").unwrap();
    assert_eq!((counts().published, counts().delivered), (0, 0));
    for body in ["one", "two", "three"] {
        fixture.send("", "q", body);
    }
    assert_eq!((counts().published, counts().ready), (3, 2));
    let channel = &fixture.channel;
    let get = |acknowledgement| channel.get("q", acknowledgement, SOON).unwrap().unwrap();
    let first = get(Acknowledgement::Manual);
    assert_eq!((counts().ready, counts().unacked, counts().delivered), (1, 1, 1));
    channel.reject(first.tag, Rejection::Requeue, Extent::One).unwrap();
    assert_eq!((counts().published, counts().ready, counts().unacked), (3, 2, 0));
    get(Acknowledgement::Automatic);
    let subscription = fixture.consume("q", &carrot_core::backend::ConsumeOptions::default());
    let last = subscription.next(SOON).unwrap().unwrap();
    assert_eq!((counts().consumers, counts().unacked, counts().delivered), (1, 1, 3));
    channel.ack(last.tag, Extent::One).unwrap();
    assert_eq!((counts().unacked, counts().published, counts().delivered), (0, 3, 3));
}

#[test]
fn counts_are_those_of_one_queue() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q"));
    fixture.queue(&Queue::new("other"));
    fixture.send("", "other", "x");
    assert_eq!(fixture.broker.queue_counts("q").unwrap().published, 0);
    assert_eq!(fixture.broker.queue_counts("other").unwrap().definition, Queue::new("other"));
    assert_eq!(fixture.broker.queue_counts("none"), None);
}
