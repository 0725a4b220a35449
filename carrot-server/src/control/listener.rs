//! The socket of the control interface, and the threads that serve its requests.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_core::{Error, Result};
use carrot_listener::{ConnectionRegistry, ListenerWaker, Registration, ServedConnection};
use serde_json::Value;

use crate::control::access::ControlAccess;
use crate::control::error::ControlError;
use crate::control::operations::ControlledBrokers;
use crate::control::request::{self, ControlRequest, REQUEST_TIMEOUT, ReadFailure};
use crate::control::response;

/// The most requests at a time.
const MOST_REQUESTS: usize = 32;
/// The pause after a failure to accept a connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The time that threads have to end after their sockets were closed.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);
/// The beginning of every path: the version of the interface.
const VERSION: &str = "v1/";

/// The socket of the control interface. Dropping it ends the interface.
pub(crate) struct ControlListener {
    shared: Arc<SharedControl>,
    waker: ListenerWaker,
    accepting: Option<JoinHandle<()>>,
}

/// The parts that the threads share.
struct SharedControl {
    access: ControlAccess,
    brokers: ControlledBrokers,
    registry: Arc<ConnectionRegistry>,
}

/// The socket of one request.
struct RequestSocket(TcpStream);

impl ControlListener {
    pub(crate) fn start(
        address: &str,
        vhosts: BTreeMap<String, Broker>,
    ) -> Result<ControlListener> {
        let addresses: Vec<SocketAddr> = address
            .to_socket_addrs()
            .map_err(|error| failed("find its address", &error))?
            .collect();
        if let Some(foreign) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            let reason = format!("{foreign} is not of the loopback interface");
            return Err(Error::config("control", reason));
        }
        let listener =
            TcpListener::bind(&*addresses).map_err(|error| failed("bind its address", &error))?;
        let waker =
            ListenerWaker::new(&listener).map_err(|error| failed("bind its address", &error))?;
        let address = waker.address();
        let access = ControlAccess::new(address)
            .map_err(|error| failed("read the random source of the system", &error))?;
        let shared = Arc::new(SharedControl {
            access,
            brokers: ControlledBrokers::new(vhosts),
            registry: Arc::default(),
        });
        let accepted = Arc::clone(&shared);
        let accepting = thread::Builder::new()
            .name("carrot-control".into())
            .spawn(move || accept(&listener, &accepted))
            .map_err(|error| failed("start a thread", &error))?;
        log::info!("the control interface is at {address}");
        Ok(ControlListener { shared, waker, accepting: Some(accepting) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.waker.address()
    }

    pub(crate) fn token(&self) -> &str {
        self.shared.access.token()
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        let registry = &self.shared.registry;
        registry.stop(|connection| connection.cut());
        if let Some(accepting) = self.accepting.take() {
            // The thread waits for a connection, and finds that the interface ends.
            match self.waker.wake_up() {
                Ok(()) if accepting.join().is_err() => {
                    log::error!("the thread of the control interface panicked");
                }
                Ok(()) => {}
                Err(error) => {
                    log::debug!("the thread of the control interface may not have ended: {error}");
                }
            }
        }
        if !registry.wait_until_empty(CUT_TIMEOUT) {
            log::warn!("{} requests of a control interface that ends are busy", registry.count());
        }
    }
}

/// Accepts requests until the interface ends.
fn accept(listener: &TcpListener, shared: &Arc<SharedControl>) {
    while !shared.registry.is_stopping() {
        // Further clients wait for their turn, in the queue of the socket.
        shared.registry.wait_for_room(MOST_REQUESTS);
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            // The socket was shut down to wake the thread.
            Err(_) if shared.registry.is_stopping() => return,
            Err(error) => {
                log::warn!("a control request could not be accepted: {error}");
                shared.registry.pause(ACCEPT_PAUSE);
                continue;
            }
        };
        let Some(registration) = shared.registry.admit(MOST_REQUESTS) else { continue };
        let served = Arc::clone(shared);
        let started = thread::Builder::new()
            .name("carrot-control-request".into())
            .spawn(move || served.serve(socket, registration));
        if let Err(error) = started {
            log::warn!("a control request was refused: no thread: {error}");
            shared.registry.pause(ACCEPT_PAUSE);
        }
    }
}

impl SharedControl {
    /// Serves one request.
    fn serve(&self, socket: TcpStream, registration: Registration) {
        let socket = Arc::new(RequestSocket(socket));
        if !registration.add(Arc::clone(&socket) as _) {
            return;
        }
        let socket = &socket.0;
        // A failure slows the response down at most.
        let _ = socket.set_nodelay(true);
        let proceed = || response::write_continue(socket);
        let read = request::read(socket, &self.access, REQUEST_TIMEOUT, proceed);
        let ended = match read {
            Ok(request) => match self.answer(&request) {
                Ok(body) => response::write(socket, 200, &body),
                Err(error) => response::write(socket, error.status, &error.body()),
            },
            Err(ReadFailure::Refused(error)) => {
                log::debug!("a control request was refused: {}", error.reason);
                response::write(socket, error.status, &error.body())
                    .and_then(|()| response::end_unread(socket))
            }
            Err(ReadFailure::Lost(error)) => Err(error),
        };
        if let Err(error) = ended {
            log::debug!("a control request was lost: {error}");
        }
    }

    fn answer(&self, request: &ControlRequest) -> Result<Value, ControlError> {
        let Some(operation) = request.path.strip_prefix(VERSION) else {
            let reason = format!("the path has to be /{VERSION} and the name of an operation");
            return Err(ControlError::new(404, reason));
        };
        self.brokers.carry_out(operation, &request.body, &|| self.registry.is_stopping())
    }
}

impl ServedConnection for RequestSocket {
    fn request_close(&self) {
        self.cut();
    }

    fn cut(&self) {
        // Fails if the client has closed the socket.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn failed(operation: &str, error: &dyn std::error::Error) -> Error {
    let reason = format!("the control interface cannot {operation}: {error}");
    Error::Backend { reason, source: None }
}
