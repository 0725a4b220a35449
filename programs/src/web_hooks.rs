//! A web hook receiver: stores each POST as a message, and accepts only what the broker has
//! confirmed.
//!
//! | answer | meaning | the sender |
//! |---|---|---|
//! | 202 | the broker has the message | is done |
//! | 503, within [`BOUND`] | the broker is away, blocked or slow | repeats the request |
//! | 400, 405, 413 | the request cannot be stored | corrects the request |
//!
//! After a 503, the broker may have the message nevertheless. The header `X-Hook-Id` of the request
//! becomes the message id, by which consumers recognize a repeated request.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use carrot::{Connection, Error, Publisher};
use tiny_http::{Method, Request, Response, Server};

/// The longest time that a request waits for the broker.
pub const BOUND: Duration = Duration::from_secs(2);
/// The number of bytes of the largest body.
const LARGEST_BODY: u64 = 256 * 1024;
/// The number of requests that wait at the same time. Others are answered with 503 at once.
const MOST_WAITING: usize = 64;

/// A status of HTTP, and a text.
type Answer = (u16, String);

/// Answers requests until `Server::unblock` is called. Each request has a thread of its own,
/// because it waits for the broker.
///
/// Blocks, at the end until each accepted request is answered.
pub fn serve(server: &Server, connection: &Connection, hooks: &Publisher) {
    let waiting = AtomicUsize::new(0);
    thread::scope(|scope| {
        for request in server.incoming_requests() {
            if waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
                scope.spawn(|| {
                    answer(request, connection, hooks);
                    waiting.fetch_sub(1, Ordering::Relaxed);
                });
            } else {
                respond(request, (503, "too many requests wait".into()));
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
    });
}

fn answer(mut request: Request, connection: &Connection, hooks: &Publisher) {
    let answer = match (request.method(), request.url()) {
        (Method::Post, _) => store(&mut request, hooks),
        (Method::Get, "/ready") => readiness(connection),
        _ => (405, "web hooks are sent by POST".into()),
    };
    respond(request, answer);
}

fn store(request: &mut Request, hooks: &Publisher) -> Answer {
    let mut message = hooks.message().timeout(BOUND).header("path", request.url());
    if let Some(id) = header(request, "X-Hook-Id") {
        message = message.message_id(id);
    }
    if let Some(content_type) = header(request, "Content-Type") {
        message = message.properties(|properties| properties.with_content_type(content_type));
    }

    let mut body = Vec::new();
    if let Err(error) = request.as_reader().take(LARGEST_BODY + 1).read_to_end(&mut body) {
        return (400, format!("the body could not be read: {error}"));
    }
    if body.len() as u64 > LARGEST_BODY {
        return (413, format!("a body has at most {LARGEST_BODY} bytes"));
    }

    match message.send_bytes(body) {
        Ok(()) => (202, "stored".into()),
        // A repeated request would fail again, for example because its id is too long.
        Err(error @ Error::Invalid { .. }) => (400, error.to_string()),
        Err(error) => {
            // The sender has no need to know the address of the broker.
            eprintln!("a web hook could not be stored: {error}");
            (503, "the hook could not be stored, send it again later".into())
        }
    }
}

fn header(request: &Request, name: &'static str) -> Option<String> {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.to_string())
}

// Plumbing: the readiness probe, which keeps requests away while the broker is.
fn readiness(connection: &Connection) -> Answer {
    let is_ready = connection.health().is_ready();
    if is_ready { (200, "ready".into()) } else { (503, "the broker is away".into()) }
}

fn respond(request: Request, (status, text): Answer) {
    if let Err(error) = request.respond(Response::from_string(text).with_status_code(status)) {
        eprintln!("a client closed its connection, its answer {status} is dropped: {error}");
    }
}
