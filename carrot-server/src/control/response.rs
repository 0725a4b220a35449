//! Writes a response of HTTP/1.1, with a deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control::request::{LARGEST_BODY, REQUEST_TIMEOUT};

/// The most octets of a refused request that are read after its response.
const MOST_DISCARDED: usize = 4 * LARGEST_BODY;
/// The time in which a client of a refused request has to end it.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes a response, after which the connection ends.
pub(crate) fn write(socket: &TcpStream, status: u16, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let more = match status {
        401 => "WWW-Authenticate: Bearer\r\n",
        405 => "Allow: POST\r\n",
        _ => "",
    };
    let reason = reason_of(status);
    let size = body.len();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\
         {more}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    write_octets(socket, &[head.as_bytes(), body.as_bytes()].concat())
}

/// Asks the client to send the body.
pub(crate) fn write_continue(socket: &TcpStream) -> io::Result<()> {
    write_octets(socket, b"HTTP/1.1 100 Continue\r\n\r\n")
}

fn write_octets(mut socket: &TcpStream, mut octets: &[u8]) -> io::Result<()> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    while !octets.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_write_timeout(Some(left))?;
        match socket.write(octets) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => octets = octets.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends a connection whose request was not read completely.
///
/// Octets that are not read would reset the connection, and the client would lose the response.
pub(crate) fn end_unread(mut socket: &TcpStream) -> io::Result<()> {
    socket.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + DISCARD_TIMEOUT;
    let mut octets = [0; 16 << 10];
    let mut discarded = 0;
    while discarded < MOST_DISCARDED {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut octets)? {
            0 => break,
            count => discarded += count,
        }
    }
    Ok(())
}

fn reason_of(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header ControlFields Too Large",
        _ => "Internal Server Error",
    }
}
