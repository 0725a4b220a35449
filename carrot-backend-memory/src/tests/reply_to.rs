use carrot_core::backend::{ConsumeOptions, Content, Declare};
use carrot_core::{Error, Properties, Queue};

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
    // As on RabbitMQ, a mandatory answer arrives and is returned all the same.
    assert_eq!(send(&*service, Content::new("", reply_to, "answer")).unwrap(), returned());
    assert_eq!(body(&answers.next(SOON).unwrap().unwrap()), "answer");

    drop(answers);
    assert!(matches!(
        service.declare(Declare::Queue(&Queue::existing(reply_to)), SOON),
        Err(Error::NotFound { .. })
    ));
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
