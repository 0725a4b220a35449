use std::sync::{Arc, Mutex};

use carrot_core::Error;
use carrot_core::backend::{ChannelOptions, Connector, Event, Role, Status};

use super::{Fixture, SOON, open};
use crate::Broker;

/// What a connector was heard to say.
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
            Event::Blocked(reason) => format!("blocked: {reason}"),
            Event::Unblocked => "unblocked".into(),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(word);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[test]
fn observers_hear_of_connections_that_come_and_are_lost() {
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
fn a_connection_that_the_program_closes_tells_nothing() {
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
fn other_connectors_do_not_hear_of_it() {
    let fixture = Fixture::new();
    let heard = Heard::of(&*fixture.connector);
    fixture.stranger();
    assert!(heard.take().is_empty());
}

#[test]
fn observers_may_use_their_connector_and_hear_of_what_that_does_in_order() {
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
