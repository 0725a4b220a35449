use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::accounting::Accounting;
use crate::error::Result;
use crate::node::BrokerNode;

/// The size of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// Takes minutes, and finds rare failures.
    Full,
    /// Takes seconds, and finds frequent failures.
    Small,
}

/// The data that scenarios share: their size, their seed, and a node that the next scenario can
/// use.
#[derive(Debug)]
pub struct Context {
    pub(super) size: Size,
    pub(super) seed: u64,
    pub(super) program: PathBuf,
    pub(super) node: Option<BrokerNode>,
    /// The accounting of the scenario that runs. Read if the scenario hangs.
    pub(super) current: Arc<Mutex<Option<Arc<Accounting>>>>,
}

impl Context {
    /// Creates a context without a node.
    ///
    /// `program` is the binary of this crate, which scenarios start as a process to stop or kill.
    /// The same `seed` makes the same random choices.
    pub fn new(size: Size, seed: u64, program: PathBuf) -> Context {
        Context { size, seed, program, node: None, current: Arc::default() }
    }

    /// Returns a context for one scenario, with the node of this context.
    pub(super) fn lend(&mut self) -> Context {
        Context {
            node: self.node.take(),
            program: self.program.clone(),
            current: Arc::clone(&self.current),
            ..*self
        }
    }

    pub(super) fn pick<T>(&self, full: T, small: T) -> T {
        match self.size {
            Size::Full => full,
            Size::Small => small,
        }
    }

    pub(super) fn accounting(&self) -> Arc<Accounting> {
        let accounting = Arc::new(Accounting::new());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&accounting));
        accounting
    }

    pub(super) fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }

    /// Runs `run` with a node that accepts connections. The next call uses the same node if `run`
    /// succeeds and the node still accepts connections.
    pub(super) fn with_node<T>(
        &mut self,
        run: impl FnOnce(&Context, &BrokerNode) -> Result<T>,
    ) -> Result<T> {
        let node = self.node.take().map_or_else(BrokerNode::start, Ok)?;
        let result = run(self, &node);
        if result.is_ok() && node.is_running() && carrot::connect(node.options()).is_ok() {
            self.node = Some(node);
        }
        result
    }
}
