//! The connections of a connector: at most one for each role.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use carrot_core::backend::Role;
use carrot_core::{Error, Result};
use carrot_listener::{lock, wait_until};

use crate::call_deadline::CallDeadline;

/// A connection of one role.
pub trait RoleLink {
    /// Returns whether the connection has not ended.
    fn is_open(&self) -> bool;

    /// Ends the connection at once. All channels end with the error.
    fn fail(&self, error: &Error);

    /// Closes the connection, after a round trip for at most `timeout`. All channels end.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker has not answered in time.
    fn close(&self, timeout: Duration) -> Result<()>;
}

/// The current connections of a connector.
#[derive(Debug)]
pub struct RoleLinks<L> {
    publishing: RolePlace<L>,
    consuming: RolePlace<L>,
    is_closed: Mutex<bool>,
}

/// The current connection of one role.
#[derive(Debug)]
struct RolePlace<L> {
    state: Mutex<PlaceState<L>>,
    /// Wakes threads that wait while another one opens the connection.
    opened: Condvar,
}

#[derive(Debug)]
struct PlaceState<L> {
    link: Option<Arc<L>>,
    /// Whether a thread opens the connection. It holds no lock.
    is_opening: bool,
}

/// The right of one thread to open a connection, until it is dropped.
struct OpeningTurn<'p, L>(&'p RolePlace<L>);

impl<L> Drop for OpeningTurn<'_, L> {
    fn drop(&mut self) {
        lock(&self.0.state).is_opening = false;
        self.0.opened.notify_all();
    }
}

impl<L> Default for RolePlace<L> {
    fn default() -> RolePlace<L> {
        let state = PlaceState { link: None, is_opening: false };
        RolePlace { state: Mutex::new(state), opened: Condvar::new() }
    }
}

impl<L: RoleLink> PlaceState<L> {
    fn open(&self) -> Option<Arc<L>> {
        self.link.as_ref().filter(|link| link.is_open()).cloned()
    }
}

impl<L: RoleLink> RolePlace<L> {
    /// Returns the connection, or the right to open one, once no other thread does that. Returns
    /// `None` if the deadline passed first.
    fn open_or_turn(&self, deadline: CallDeadline) -> Option<Result<Arc<L>, OpeningTurn<'_, L>>> {
        let mut state = lock(&self.state);
        let mut passed = false;
        loop {
            if let Some(link) = state.open() {
                return Some(Ok(link));
            }
            if !state.is_opening {
                state.is_opening = true;
                return Some(Err(OpeningTurn(self)));
            }
            if passed {
                return None;
            }
            (state, passed) = wait_until(&self.opened, state, deadline.at());
        }
    }
}

impl<L> Default for RoleLinks<L> {
    fn default() -> RoleLinks<L> {
        let (publishing, consuming) = (RolePlace::default(), RolePlace::default());
        RoleLinks { publishing, consuming, is_closed: Mutex::new(false) }
    }
}

impl<L: RoleLink> RoleLinks<L> {
    fn place(&self, role: Role) -> &RolePlace<L> {
        if role == Role::Publish { &self.publishing } else { &self.consuming }
    }

    /// Returns the connection of a role, if it is open.
    pub fn current(&self, role: Role) -> Option<Arc<L>> {
        lock(&self.place(role).state).open()
    }

    /// Fails once [`close`](RoleLinks::close) was called.
    ///
    /// # Errors
    /// - [`Error::Closed`]: the connector was closed.
    pub fn check_open(&self) -> Result<()> {
        if *lock(&self.is_closed) { Err(Error::closed("connection")) } else { Ok(()) }
    }

    /// Returns the open connection of a role, or opens one. Also returns whether it was opened now.
    /// One thread opens it, and the others wait.
    ///
    /// `open` connects. `begin` follows, once other threads find the connection: an observer of its
    /// event finds it open.
    ///
    /// # Errors
    /// - [`Error::Closed`]: the connector was closed.
    /// - [`Error::Timeout`]: another thread has not opened the connection until the deadline.
    /// - The errors of `open` and `begin`.
    pub fn open<I>(
        &self,
        role: Role,
        deadline: CallDeadline,
        open: impl FnOnce() -> Result<(Arc<L>, I)>,
        begin: impl FnOnce(&Arc<L>, I) -> Result<()>,
    ) -> Result<(Arc<L>, bool)> {
        self.check_open()?;
        let place = self.place(role);
        let turn = match place.open_or_turn(deadline) {
            Some(Ok(link)) => return Ok((link, false)),
            Some(Err(turn)) => turn,
            None => return Err(deadline.late("connect")),
        };
        self.check_open()?;
        let (link, input) = open()?;
        let lost = lock(&place.state).link.replace(Arc::clone(&link));
        drop(turn);
        drop(lost);
        begin(&link, input)?;
        // The connector may have been closed meanwhile.
        if let Err(error) = self.check_open() {
            link.fail(&error);
            return Err(error);
        }
        Ok((link, true))
    }

    /// Closes the connections. None can be opened any more.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: a broker has not answered until the deadline.
    pub fn close(&self, deadline: CallDeadline) -> Result<()> {
        *lock(&self.is_closed) = true;
        let links = [&self.publishing, &self.consuming].map(|place| lock(&place.state).link.take());
        let mut closed = Ok(());
        for link in links.into_iter().flatten() {
            closed = closed.and(link.close(deadline.left()));
        }
        closed
    }
}

/// Opens a channel on a connection. If the connection was lost, and no call had found out, opens
/// the channel on the next connection. `link` returns the connection, and whether it is new.
///
/// # Errors
/// The errors of both functions.
pub fn on_live_link<L: RoleLink, C>(
    link: impl Fn() -> Result<(Arc<L>, bool)>,
    channel: impl Fn(&Arc<L>) -> Result<C>,
) -> Result<C> {
    let (found, is_new) = link()?;
    match channel(&found) {
        Err(error) if !is_new && error.is_disconnected() && !found.is_open() => channel(&link()?.0),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[derive(Debug, Default)]
    struct TestLink(AtomicBool);

    impl RoleLink for TestLink {
        fn is_open(&self) -> bool {
            !self.0.load(Ordering::SeqCst)
        }

        fn fail(&self, _: &Error) {
            self.0.store(true, Ordering::SeqCst);
        }

        fn close(&self, _: Duration) -> Result<()> {
            self.fail(&Error::closed("connection"));
            Ok(())
        }
    }

    fn open(links: &RoleLinks<TestLink>) -> Result<(Arc<TestLink>, bool)> {
        let deadline = CallDeadline::after(SOON);
        links.open(Role::Publish, deadline, || Ok((Arc::default(), ())), |_, ()| Ok(()))
    }

    #[test]
    fn one_thread_opens_and_the_others_wait() {
        let links = RoleLinks::<TestLink>::default();
        let links = &links;
        thread::scope(|scope| {
            let (opening, is_opening) = mpsc::channel();
            // A failed assertion drops the sender, which ends the wait.
            let (go_on, waits) = mpsc::channel::<()>();
            let slow = scope.spawn(move || {
                let connect = || {
                    opening.send(()).unwrap();
                    waits.recv().unwrap();
                    Ok((Arc::default(), ()))
                };
                links.open(Role::Publish, CallDeadline::after(SOON), connect, |_, ()| Ok(()))
            });
            is_opening.recv().unwrap();
            let deadline = CallDeadline::after(Duration::ZERO);
            let late =
                links.open(Role::Publish, deadline, || Ok((Arc::default(), ())), |_, ()| Ok(()));
            assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
            // The other role does not wait.
            links
                .open(Role::Consume, deadline, || Ok((Arc::default(), ())), |_, ()| Ok(()))
                .unwrap();
            let waiting = scope.spawn(|| open(links));
            go_on.send(()).unwrap();
            let (opened, is_new) = slow.join().unwrap().unwrap();
            let (found, is_new_again) = waiting.join().unwrap().unwrap();
            assert!(Arc::ptr_eq(&opened, &found) && is_new && !is_new_again);
        });
    }

    #[test]
    fn failed_opening_leaves_the_turn_to_the_next() {
        let links = RoleLinks::<TestLink>::default();
        let refused = || Err(Error::connect("here", "refused", Duration::ZERO, None));
        let deadline = CallDeadline::after(SOON);
        let failed = links.open::<()>(Role::Publish, deadline, refused, |_, ()| Ok(()));
        assert!(matches!(failed, Err(Error::Connect { .. })), "{failed:?}");
        assert!(links.current(Role::Publish).is_none());
        assert!(open(&links).unwrap().1);
    }

    #[test]
    fn lost_link_is_replaced_once() {
        let links = RoleLinks::<TestLink>::default();
        open(&links).unwrap();
        let tried = AtomicU32::new(0);
        let lose = |link: &Arc<TestLink>| {
            tried.fetch_add(1, Ordering::SeqCst);
            link.fail(&Error::closed("connection"));
            Err::<(), _>(Error::disconnected("here: lost"))
        };
        let error = on_live_link(|| open(&links), lose).unwrap_err();
        assert!(error.is_disconnected() && tried.load(Ordering::SeqCst) == 2, "{error}");
    }

    #[test]
    fn closed_links_cannot_be_opened() {
        let links = RoleLinks::<TestLink>::default();
        let (link, _) = open(&links).unwrap();
        links.close(CallDeadline::after(SOON)).unwrap();
        assert!(!link.is_open() && links.current(Role::Publish).is_none());
        assert!(matches!(open(&links), Err(Error::Closed { .. })));
        // Closed while another thread connects.
        let links = RoleLinks::<TestLink>::default();
        let connect = || {
            links.close(CallDeadline::after(SOON)).unwrap();
            Ok((Arc::<TestLink>::default(), ()))
        };
        let deadline = CallDeadline::after(SOON);
        let late = links.open(Role::Publish, deadline, connect, |_, ()| Ok(()));
        assert!(matches!(late, Err(Error::Closed { .. })), "{late:?}");
        assert!(links.current(Role::Publish).is_none());
    }
}
