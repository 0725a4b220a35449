use std::sync::{Arc, Mutex};

use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector, Event, Role, Status};

use crate::broker::Broker;
use crate::tests::{BrokerFixture, SOON, open};

/// The events that the observers of a connector received.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    pub(crate) fn of(connector: &dyn Connector) -> Heard {
        let heard = Heard::default();
        let notes = heard.clone();
        connector.observe(Arc::new(move |event| notes.note(event)));
        heard
    }

    fn note(&self, event: &Event) {
        let word = match event {
            Event::Connected { .. } => "connected".into(),
            Event::Disconnected { error: Error::Disconnected { .. }, .. } => "disconnected".into(),
            Event::Blocked { reason, .. } => format!("blocked: {reason}"),
            Event::Unblocked { .. } => "unblocked".into(),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(word);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn observers_receive_connects_and_losses() {
    let broker = Broker::new();
    let connector = broker.connector();
    let heard = Heard::of(&*connector);
    assert_eq!(connector.status(Role::Publish), Status::new(false, None));
    let channel = open(&*connector);
    open(&*connector);
    assert_eq!(heard.take(), ["connected"]);
    assert!(connector.status(Role::Publish).connected);

    broker.faults().drop_connections();
    assert!(!connector.status(Role::Publish).connected);
    assert_eq!(heard.take(), ["disconnected"]);
    assert!(matches!(channel.close(SOON), Ok(())));

    open(&*connector);
    assert_eq!(heard.take(), ["connected"]);
}

#[test]
fn connection_closed_by_the_program_notifies_nobody() {
    let broker = Broker::new();
    let connector = broker.connector();
    open(&*connector);
    let heard = Heard::of(&*connector);
    connector.close(SOON).unwrap();
    broker.faults().drop_connections();
    assert!(heard.take().is_empty());
    assert_eq!(connector.status(Role::Publish), Status::default());
}

#[test]
fn observers_of_other_connectors_receive_nothing() {
    let fixture = BrokerFixture::new();
    let heard = Heard::of(&*fixture.connector);
    fixture.stranger();
    assert!(heard.take().is_empty());
}

#[test]
fn observers_that_use_their_connector_receive_events_in_order() {
    let broker = Broker::new();
    let connector = broker.connector();
    open(&*connector);
    let reopened = Arc::new(Mutex::new(Vec::new()));
    let (weak, kept) = (Arc::downgrade(&connector), Arc::clone(&reopened));
    connector.observe(Arc::new(move |event| {
        if let (Event::Disconnected { .. }, Some(connector)) = (event, weak.upgrade()) {
            let channel = connector.open(&ChannelOptions::consume(), SOON).unwrap();
            assert!(connector.status(Role::Consume).connected);
            kept.lock().unwrap().push(channel);
        }
    }));
    let heard = Heard::of(&*connector);
    broker.faults().drop_connections();
    assert_eq!(heard.take(), ["disconnected", "connected"]);
    assert_eq!(reopened.lock().unwrap().len(), 1);
}
