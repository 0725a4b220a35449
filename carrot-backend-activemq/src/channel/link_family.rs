use std::sync::{Arc, Mutex, Weak};

use carrot_listener::lock;

use crate::channel::letter_ports::LetterOutlet;
use crate::connection::link_handle::LinkHandle;
use crate::exchanges::routing_definitions::RoutingDefinitions;

/// The connections of one connector.
#[derive(Debug, Default)]
pub(crate) struct LinkFamily {
    links: Mutex<Vec<Weak<LinkHandle>>>,
    /// Sends the dead letters of the channels; `None` for channels that do not consume.
    pub(crate) letters: Option<Arc<dyn LetterOutlet>>,
}

impl LinkFamily {
    /// Returns a family without connections, whose channels may consume.
    pub(crate) fn new(letters: Arc<dyn LetterOutlet>) -> LinkFamily {
        LinkFamily { links: Mutex::default(), letters: Some(letters) }
    }

    /// Adds a connection, and forgets those that have ended.
    pub(crate) fn add(&self, link: &Arc<LinkHandle>) {
        let mut links = lock(&self.links);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// Passes a changed table to all connections, each of which the broker also sends it to.
    pub(crate) fn note_table(&self, table: &Arc<RoutingDefinitions>) {
        for link in self.links() {
            link.table.note_table(Arc::clone(table));
        }
    }

    /// Returns the open connections.
    pub(crate) fn links(&self) -> Vec<Arc<LinkHandle>> {
        let links: Vec<_> = lock(&self.links).iter().filter_map(Weak::upgrade).collect();
        links.into_iter().filter(|link| link.life.is_open()).collect()
    }
}
