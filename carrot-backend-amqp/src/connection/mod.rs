//! One connection: its socket, its reader, and channel 0.

mod attempt;
mod backpressure;
mod call_isolation;
pub(crate) mod calls;
mod capabilities;
mod channels;
mod close_method;
mod connect;
mod connect_error;
mod control;
mod demux;
mod frame_timer;
mod handshake;
mod in_flight;
mod leadership;
mod observers;
mod outgoing;
mod pipe;
mod read_end;
mod read_limit;
mod reader;
mod refusal;
mod role_context;
mod secret_updates;
mod sink;
mod source;
mod state;
mod supervisor;
mod write_coalescing;
mod writer;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use carrot_core::{ConnectionOptions, Error, Result};
use log::{debug, info};

pub(crate) use attempt::ConnectAttempt;
pub(crate) use call_isolation::CallIsolation;
pub(crate) use calls::Call;
pub(crate) use channels::{BodyPlace, ChannelEnd, Confirm, NoNumber, Violation};
pub(crate) use in_flight::ChannelId;
pub(crate) use leadership::MayLead;
pub(crate) use observers::{Observer, Observers};
pub(crate) use outgoing::{OutgoingFrames, Piece};
pub(crate) use role_context::RoleContext;
pub(crate) use state::ConnectionState;
pub(crate) use supervisor::Supervisor;
pub(crate) use writer::{ChannelOpening, TooManyAnswers};
#[cfg(any(test, fuzzing))]
pub(crate) use {demux::Demux, pipe::Pipe, read_end::ReadEnd};

use crate::time::deadline_after;
use secret_updates::NoUpdate;
use state::EXPLAINED_WITHIN;

/// An open connection. Closes when the last handle is dropped.
pub(crate) struct AmqpConnection {
    state: Arc<ConnectionState>,
}

impl AmqpConnection {
    /// Connects to the first address that answers.
    ///
    /// Blocks at most until `deadline`, or for the connect timeout of the options.
    pub(crate) fn open(
        options: &Arc<ConnectionOptions>,
        role: RoleContext,
        attempt: &Arc<ConnectAttempt>,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<AmqpConnection>> {
        let timeout = timeout.min(options.connect_timeout);
        let deadline = deadline.min(deadline_after(timeout));
        let state = connect::connect(options, role, attempt, timeout, deadline)?;
        info!("{} connected to {}", state.name, state.endpoint);
        Ok(Arc::new(AmqpConnection { state }))
    }

    pub(crate) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }

    /// Sends a new secret. Returns the number of the update, to wait for.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the secret and the reason do not fit into a frame.
    /// - The reason why the connection has ended.
    pub(crate) fn begin_secret_update(&self, secret: &str, reason: &str) -> Result<u64> {
        let frame = handshake::secret_update(secret, reason, self.state.frame_max())?;
        let send = || self.state.writer.hand_over_unless_sealed(frame);
        let number = self.state.secret_updates.begin(send).ok_or_else(|| self.state.death())?;
        self.state.writer.flush();
        Ok(number)
    }

    /// Waits until the broker has accepted a secret. The connection of a call that times out stays
    /// open, and the broker may still accept the secret.
    pub(crate) fn finish_secret_update(
        &self,
        number: u64,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<()> {
        let _reads = self.state.read_limit.suspend();
        self.state.secret_updates.wait(number, deadline).map_err(|none| match none {
            NoUpdate::Late => self.state.overdue("updating the secret", timeout),
            NoUpdate::Refused(error) => error,
            NoUpdate::Ended => self.state.death(),
        })
    }

    /// Closes the connection, and cuts it at the deadline.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the connection was cut.
    pub(crate) fn close(&self, timeout: Duration, deadline: Instant) -> Result<()> {
        const OPERATION: &str = "closing the connection";
        let state = &self.state;
        if state.begin_closing()
            && (self.close_at_broker(|_| {}).is_err() || !state.wait_until_lost(deadline))
        {
            state.cut(format!("{OPERATION} did not finish in time"));
            state.wait_until_lost(Instant::now() + EXPLAINED_WITHIN);
        }
        if state.was_cut() { Err(Error::timeout(OPERATION, timeout)) } else { Ok(()) }
    }

    /// Closes the connection on another thread, and then calls `then`. The thread ends when the
    /// broker has answered, or when the socket is shut down.
    fn close_at_broker(
        &self,
        then: impl FnOnce(&ConnectionState) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let state = Arc::clone(&self.state);
        thread::Builder::new().name("carrot-close".to_string()).spawn(move || {
            if let Some(Err(error)) = state.control.close() {
                debug!("{}: closing the connection to {}: {error}", state.name, state.endpoint);
            }
            then(&state);
        })
    }
}

impl Drop for AmqpConnection {
    fn drop(&mut self) {
        if !self.state.begin_closing() {
            return;
        }
        let deadline = deadline_after(self.state.call_timeout);
        let late = Arc::downgrade(&self.state);
        let cut = self.state.supervisor.at(deadline, move || {
            if let Some(state) = late.upgrade() {
                state.cut("closing the connection did not finish in time");
            }
        });
        if self.close_at_broker(move |state| state.supervisor.cancel(cut)).is_err() {
            self.state.cut("no thread could be started to close it");
        }
    }
}

/// Creates a connection whose socket is not read, and its demultiplexer. amiquip reads nothing from
/// the pipe, which must outlive the connection.
#[cfg(any(test, fuzzing))]
pub(crate) fn unread(
    context: &RoleContext,
    options: &ConnectionOptions,
    socket: std::net::TcpStream,
) -> io::Result<(Arc<ConnectionState>, Demux, Pipe)> {
    socket.set_nonblocking(true)?;
    let writer = Arc::new(writer::SocketWriter::new(sink::Sink::Plain(socket)));
    let (pipe, inbox) = Pipe::new(Arc::clone(&writer), Vec::new());
    let state = Arc::new(ConnectionState::new(
        context,
        String::new(),
        String::new(),
        options.call_timeout,
        writer,
        control::Control::new(inbox),
    ));
    let demux = Demux::new(Arc::clone(&state), handshake::Handshake::new(options));
    Ok((state, demux, pipe))
}
