use std::sync::{Arc, Mutex, Weak};

use carrot_listener::lock;

use crate::connection::link_handle::LinkHandle;

/// The connections of one connector.
#[derive(Debug, Default)]
pub(crate) struct LinkFamily(Mutex<Vec<Weak<LinkHandle>>>);

impl LinkFamily {
    /// Adds a connection, and forgets those that have ended.
    pub(crate) fn add(&self, link: &Arc<LinkHandle>) {
        let mut links = lock(&self.0);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// Returns the open connections.
    pub(crate) fn links(&self) -> Vec<Arc<LinkHandle>> {
        let links: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        links.into_iter().filter(|link| link.is_open()).collect()
    }
}
