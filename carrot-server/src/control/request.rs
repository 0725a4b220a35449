//! Reads a request of HTTP/1.1, with limits and a deadline.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::control::access::ControlAccess;
use crate::control::error::ControlError;

/// The size of the largest head, in bytes.
pub(crate) const LARGEST_HEAD: usize = 8 << 10;
/// The size of the largest body, in bytes.
pub(crate) const LARGEST_BODY: usize = 1 << 20;
/// The most headers.
const MOST_HEADERS: usize = 64;
/// The time until which a request has to be complete, and then its response.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A request from a program that has the token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ControlRequest {
    /// The path without its first slash.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

/// The reason why no request was read.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// The client receives a response.
    Refused(ControlError),
    /// The client has closed its connection, or the connection was lost.
    Lost(io::Error),
}

impl From<ControlError> for ReadFailure {
    fn from(error: ControlError) -> ReadFailure {
        ReadFailure::Refused(error)
    }
}

/// A head, as far as the server uses it.
struct RequestHead {
    size: usize,
    path: String,
    body_size: usize,
    expects_continue: bool,
}

/// Reads one request, within `timeout`. Calls `proceed` if the client asks before it sends its
/// body.
///
/// The head is checked first: no octet of a body is kept for a request without the token.
pub(crate) fn read(
    socket: &TcpStream,
    access: &ControlAccess,
    timeout: Duration,
    proceed: impl FnOnce() -> io::Result<()>,
) -> Result<ControlRequest, ReadFailure> {
    let deadline = RequestDeadline { at: Instant::now() + timeout, timeout };
    let mut octets = Vec::new();
    let head = loop {
        if let Some(head) = read_head(&octets, access)? {
            break head;
        }
        if octets.len() >= LARGEST_HEAD {
            let reason = format!("the head has more than {LARGEST_HEAD} bytes");
            return Err(ControlError::new(431, reason).into());
        }
        let room = LARGEST_HEAD - octets.len();
        receive(socket, &mut octets, room, deadline)?;
    };
    let mut body = octets.split_off(head.size);
    body.truncate(head.body_size);
    if head.expects_continue && body.len() < head.body_size {
        proceed().map_err(ReadFailure::Lost)?;
    }
    while body.len() < head.body_size {
        let room = head.body_size - body.len();
        receive(socket, &mut body, room, deadline)?;
    }
    Ok(ControlRequest { path: head.path, body })
}

/// Receives up to `room` octets.
fn receive(
    socket: &TcpStream,
    octets: &mut Vec<u8>,
    room: usize,
    deadline: RequestDeadline,
) -> Result<(), ReadFailure> {
    const CHUNK: usize = 16 << 10;
    let mut chunk = [0; CHUNK];
    let room = chunk.get_mut(..room.min(CHUNK)).unwrap_or_default();
    loop {
        let left = deadline.at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(deadline.passed());
        }
        socket.set_read_timeout(Some(left)).map_err(ReadFailure::Lost)?;
        let mut source = socket;
        match source.read(room) {
            Ok(0) => return Err(ReadFailure::Lost(ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                octets.extend_from_slice(room.get(..count).unwrap_or_default());
                return Ok(());
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(deadline.passed()),
                _ => return Err(ReadFailure::Lost(error)),
            },
        }
    }
}

/// The time until which a request has to be complete.
#[derive(Debug, Clone, Copy)]
struct RequestDeadline {
    at: Instant,
    timeout: Duration,
}

impl RequestDeadline {
    fn passed(self) -> ReadFailure {
        let reason = format!("the request was not complete after {:?}", self.timeout);
        ControlError::new(408, reason).into()
    }
}

/// Reads and checks a head; `None` if it is not complete.
fn read_head(octets: &[u8], access: &ControlAccess) -> Result<Option<RequestHead>, ControlError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(octets) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            let reason = format!("the head has more than {MOST_HEADERS} headers");
            return Err(ControlError::new(431, reason));
        }
        Err(error) => {
            return Err(ControlError::new(400, format!("the request is no HTTP/1.1: {error}")));
        }
    };
    access.check_host(single(request.headers, "host"))?;
    access.check_token(single(request.headers, "authorization"))?;
    let method = request.method.unwrap_or_default();
    if method != "POST" {
        let reason = format!("method {method:.20}: every operation is a POST");
        return Err(ControlError::new(405, reason));
    }
    let path = request.path.unwrap_or_default();
    let Some(path) = path.strip_prefix('/') else {
        return Err(ControlError::new(400, "the path has to begin with a slash"));
    };
    if has(request.headers, "transfer-encoding") {
        let reason = "header \"Transfer-Encoding\" is not supported; send Content-Length";
        return Err(ControlError::new(411, reason));
    }
    let body_size = body_size(request.headers)?;
    let expects_continue = single(request.headers, "expect")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    Ok(Some(RequestHead { size, path: path.to_string(), body_size, expects_continue }))
}

/// Returns the size of the body, which is zero without a header about it.
fn body_size(headers: &[httparse::Header<'_>]) -> Result<usize, ControlError> {
    const NAME: &str = "content-length";
    if !has(headers, NAME) {
        return Ok(0);
    }
    let digits = single(headers, NAME)
        .filter(|value| !value.is_empty() && value.iter().all(u8::is_ascii_digit))
        .and_then(|value| std::str::from_utf8(value).ok());
    let Some(digits) = digits else {
        let reason = "header \"Content-Length\" has to be one whole number of bytes";
        return Err(ControlError::new(400, reason));
    };
    digits.parse().ok().filter(|size| *size <= LARGEST_BODY).ok_or_else(|| {
        let reason = format!("the body has {digits:.20} bytes, and the limit is {LARGEST_BODY}");
        ControlError::new(413, reason)
    })
}

fn has(headers: &[httparse::Header<'_>], name: &str) -> bool {
    headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
}

/// Returns the value of a header that is given once.
fn single<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let first = found.next()?;
    found.next().is_none().then_some(first.value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn unfinished_request_is_refused_at_its_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let access = ControlAccess::new(address).unwrap();
        let head = format!(
            "POST /v1/x HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Length: 2\r\n\r\n",
            access.token()
        );
        for octets in ["", "POST /", &head, &format!("{head}{{")] {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(octets.as_bytes()).unwrap();
            let (socket, _) = listener.accept().unwrap();
            match read(&socket, &access, Duration::from_millis(50), || Ok(())) {
                Err(ReadFailure::Refused(error)) => {
                    assert_eq!(error.status, 408);
                    assert_eq!(error.reason, "the request was not complete after 50ms");
                }
                other => panic!("{octets:?}: {other:?}"),
            }
        }
    }
}
