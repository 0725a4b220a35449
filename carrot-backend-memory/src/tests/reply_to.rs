use carrot_core::backend::{ConsumeOptions, Content, Declare, Outcome};
use carrot_core::{Error, Properties, Queue, RabbitMqRelease};

use crate::tests::{BrokerFixture, SOON, body, returned, send};

const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

#[test]
fn direct_reply_reaches_the_requesting_channel() {
    let fixture = BrokerFixture::with_queue(&Queue::new("service"));
    let answers = fixture.consume(PSEUDO_QUEUE, &ConsumeOptions::default().automatic());
    fixture.send_with("", "service", "question", Properties::new().with_reply_to(PSEUDO_QUEUE));
    let question = fixture.get("service");
    let reply_to = question.content.properties.reply_to().unwrap();
    assert!(
        reply_to.starts_with("amq.rabbitmq.reply-to.") && reply_to.len() > PSEUDO_QUEUE.len() + 10
    );

    let service = fixture.stranger();
    service.declare(Declare::Queue(&Queue::existing(reply_to)), SOON).unwrap();
    assert_eq!(send(&*service, Content::new("", reply_to, "answer")).unwrap(), Outcome::Accepted);
    assert_eq!(body(&answers.next(SOON).unwrap().unwrap()), "answer");

    drop(answers);
    // The address stays one that messages are routed to.
    assert_eq!(send(&*service, Content::new("", reply_to, "late")).unwrap(), Outcome::Accepted);
    assert!(matches!(
        service.declare(Declare::Queue(&Queue::existing(reply_to)), SOON),
        Err(Error::NotFound { .. })
    ));
}

#[test]
fn mandatory_reply_before_4_3_arrives_and_is_returned() {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    fixture.queue(&Queue::new("service"));
    let answers = fixture.consume(PSEUDO_QUEUE, &ConsumeOptions::default().automatic());
    fixture.send_with("", "service", "question", Properties::new().with_reply_to(PSEUDO_QUEUE));
    let question = fixture.get("service");
    let reply_to = question.content.properties.reply_to().unwrap();
    assert_eq!(
        send(&*fixture.stranger(), Content::new("", reply_to, "answer")).unwrap(),
        returned()
    );
    assert_eq!(body(&answers.next(SOON).unwrap().unwrap()), "answer");
}

#[test]
fn direct_reply_against_the_rules_is_refused() {
    let fixture = BrokerFixture::with_queue(&Queue::new("service"));
    let manual = fixture.open().consume(PSEUDO_QUEUE, &ConsumeOptions::default(), SOON);
    assert!(matches!(manual, Err(Error::PreconditionFailed { .. })));
    let asked = send(
        &*fixture.open(),
        Content::new("", "service", "m")
            .with_properties(Properties::new().with_reply_to(PSEUDO_QUEUE)),
    );
    assert!(matches!(asked, Err(Error::PreconditionFailed { .. })));
    let _first = fixture.consume(PSEUDO_QUEUE, &ConsumeOptions::default().automatic());
    let second =
        fixture.channel.consume(PSEUDO_QUEUE, &ConsumeOptions::default().automatic(), SOON);
    assert!(matches!(second, Err(Error::PreconditionFailed { .. })));
}
