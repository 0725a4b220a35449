//! Opens a socket to a host, and logs in, within one deadline.

use std::io::ErrorKind;
use std::time::Duration;

use carrot_core::backend::look_up;
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};
use carrot_link::LinkAttempt;
use carrot_listener::PeerStream;

use crate::calls::event::HostTraits;
use crate::client::hello::ClientHello;
use crate::client::link_reader::LinkInput;

/// The longest user name or password of the mechanism PLAIN, in bytes.
const LONGEST_CREDENTIAL: usize = 255;

/// Connects to the first address whose host welcomes the hello. Tries each address once. Blocks at
/// most for the connect timeout of the options.
pub(crate) fn connect(
    options: &ConnectionOptions,
    name: &str,
    timeout: Duration,
) -> Result<(LinkInput, HostTraits)> {
    let timeout = timeout.min(options.connect_timeout);
    let attempt = LinkAttempt::new(options.endpoint(), timeout);
    let credentials = options.credentials.resolve(attempt.endpoint(), timeout)?;
    let (user, password) = match &credentials {
        Credentials::Plain { user, password } => (user.as_str(), password.reveal()),
        _ => return Err(Error::config("auth_mechanism", "a host of ZeroMQ has user and password")),
    };
    for (option, value) in [("user", user), ("password", password)] {
        if value.len() > LONGEST_CREDENTIAL {
            let reason =
                format!("has {} bytes, and the limit is {LONGEST_CREDENTIAL}", value.len());
            return Err(Error::config(option, reason));
        }
    }
    let tls = (options.scheme == Scheme::Zmqs).then_some(&options.tls);
    match options.addresses().next() {
        // The options name one path.
        Some((path, _)) if options.scheme == Scheme::ZmqIpc => {
            let stream = open_path(&attempt, path)?;
            ClientHello { attempt: &attempt, user, password, name }.greet(stream)
        }
        _ => attempt.first(options, look_up, |attempt, host, address| {
            let stream = attempt.open(host, address, tls)?;
            ClientHello { attempt, user, password, name }.greet(stream)
        }),
    }
}

/// Connects to a socket of the file system. The timeout also ends the wait for a host that
/// accepts nothing.
#[cfg(unix)]
fn open_path(attempt: &LinkAttempt, path: &str) -> Result<PeerStream> {
    use socket2::{Domain, SockAddr, Socket, Type};

    let left = attempt.left()?;
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_write_timeout(Some(left))?;
        let address = SockAddr::unix(path)?;
        loop {
            match socket.connect(&address) {
                Ok(()) => return Ok(std::os::unix::net::UnixStream::from(socket).into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    open().map_err(|error| attempt.not_open(&format!("the socket {path:?}"), error))
}

#[cfg(not(unix))]
fn open_path(attempt: &LinkAttempt, _path: &str) -> Result<PeerStream> {
    Err(attempt.failed("this system has no sockets of the file system", None))
}
