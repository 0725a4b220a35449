use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use carrot::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Role, Status,
};
use carrot::{Error, Result};

use crate::channel::{Handle, ShelfChannel};
use crate::shelf::Shelf;

/// Opens channels to one broker.
#[derive(Debug)]
pub(crate) struct ShelfConnector {
    shelf: Arc<Shelf>,
    id: u64,
    clock: Clock,
    /// Changes with the lock of the broker held, so that no channel opens during `close`.
    closed: AtomicBool,
}

impl ShelfConnector {
    pub(crate) fn new(shelf: &Arc<Shelf>) -> Arc<ShelfConnector> {
        let id = shelf.lock().number();
        Arc::new(ShelfConnector {
            shelf: Arc::clone(shelf),
            id,
            clock: Clock::real(),
            closed: AtomicBool::new(false),
        })
    }

    fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) { Err(Error::closed("connection")) } else { Ok(()) }
    }
}

impl Connector for ShelfConnector {
    fn open(&self, options: &ChannelOptions, _timeout: Duration) -> Result<Arc<dyn Backend>> {
        let mut state = self.shelf.lock();
        self.check()?;
        let id = state.open(self.id, options.confirms);
        drop(state);
        Ok(Arc::new(ShelfChannel(Arc::new(Handle { shelf: Arc::clone(&self.shelf), id }))))
    }

    fn close(&self, _timeout: Duration) -> Result<()> {
        let mut state = self.shelf.change();
        self.closed.store(true, Ordering::SeqCst);
        state.close(self.id);
        Ok(())
    }

    fn connect(&self, _role: Role, _timeout: Duration) -> Result<()> {
        self.check()
    }

    fn endpoint(&self) -> String {
        "a shelf in this process".into()
    }

    fn status(&self, _role: Role) -> Status {
        Status::new(self.check().is_ok(), None)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    // No connection can be lost, so there are no events.
    fn observe(&self, _observer: Arc<dyn Fn(&Event) + Send + Sync>) {}
}
