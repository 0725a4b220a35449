#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use super::*;
use crate::zmtp::frame::{MessageLimits, ZmtpFrame, ZmtpFrameReader};

const LIMITS: MessageLimits = MessageLimits { head: 1000, body: 1000 };

/// One side of a handshake: what it has received, and its outcome.
struct Side {
    frames: ZmtpFrameReader,
    outcome: Option<Result<ZmtpProgress, ZmtpFailure>>,
}

impl Side {
    fn new() -> Side {
        Side { frames: ZmtpFrameReader::new(LIMITS), outcome: None }
    }

    fn take(
        &mut self,
        octets: &[u8],
        mut greeting: impl FnMut(&mut &[u8]) -> Result<bool, ZmtpFailure>,
        mut command: impl FnMut(&[u8]) -> Result<ZmtpProgress, ZmtpFailure>,
    ) {
        for octet in octets.chunks(1) {
            let mut rest = octet;
            match greeting(&mut rest) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(failure) => return self.outcome = Some(Err(failure)),
            }
            while let Some(frame) = self.frames.read(&mut rest).unwrap() {
                let ZmtpFrame::Command(payload) = frame else { panic!("{frame:?}") };
                match command(&payload) {
                    Ok(ZmtpProgress::Waiting) => {}
                    outcome => self.outcome = Some(outcome),
                }
            }
        }
    }
}

/// Runs the handshakes of a client and of a host against each other.
fn run(
    users: &Users,
    user: &str,
    password: &str,
) -> [Option<Result<ZmtpProgress, ZmtpFailure>>; 2] {
    let (mut to_client, mut to_host) = (Vec::new(), Vec::new());
    let mut hosting = HostHandshake::start(!users.is_empty(), &mut to_client);
    let mut client = ClientHandshake::start(user, password, &mut to_host);
    let (mut host_side, mut client_side) = (Side::new(), Side::new());
    let hosting = std::cell::RefCell::new(&mut hosting);
    let client = std::cell::RefCell::new(&mut client);
    while !(to_client.is_empty() && to_host.is_empty()) {
        let octets = std::mem::take(&mut to_host);
        let mut answer = Vec::new();
        let out = std::cell::RefCell::new(&mut answer);
        host_side.take(
            &octets,
            |rest| hosting.borrow_mut().greeting(rest, &mut out.borrow_mut()),
            |payload| hosting.borrow_mut().command(payload, users, &mut out.borrow_mut()),
        );
        to_client.extend(answer);
        let octets = std::mem::take(&mut to_client);
        let mut answer = Vec::new();
        let out = std::cell::RefCell::new(&mut answer);
        client_side.take(
            &octets,
            |rest| client.borrow_mut().greeting(rest, &mut out.borrow_mut()),
            |payload| client.borrow_mut().command(payload, &mut out.borrow_mut()),
        );
        to_host.extend(answer);
    }
    [host_side.outcome, client_side.outcome]
}

fn ann() -> Users {
    let mut users = Users::default();
    users.add("ann".into(), Some("hush".into()));
    users
}

#[test]
fn host_without_users_needs_no_password() {
    let open = Some(Ok(ZmtpProgress::Open { user: None }));
    assert_eq!(run(&Users::default(), "guest", "secret"), [open.clone(), open]);
}

#[test]
fn host_with_users_learns_the_user_of_a_right_password() {
    let [host, client] = run(&ann(), "ann", "hush");
    assert_eq!(host, Some(Ok(ZmtpProgress::Open { user: Some("ann".into()) })));
    assert_eq!(client, Some(Ok(ZmtpProgress::Open { user: None })));
}

#[test]
fn wrong_password_fails_on_both_sides() {
    let failure = Some(Err(ZmtpFailure::Credentials));
    assert_eq!(run(&ann(), "ann", "wrong"), [failure.clone(), failure.clone()]);
    assert_eq!(run(&ann(), "eve", "hush"), [failure.clone(), failure]);
}

#[test]
fn password_stays_with_a_client_whose_host_wants_none() {
    let mut sent = Vec::new();
    let mut client = ClientHandshake::start("ann", "hush", &mut sent);
    let greeting = greeting(Mechanism::Null, true);
    assert_eq!(client.greeting(&mut &greeting[..], &mut sent), Ok(true));
    assert!(!sent.windows(4).any(|octets| octets == b"hush"));
}

#[test]
fn steps_out_of_order_and_other_sockets_are_refused_with_a_reason() {
    let refuse = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        let mut handshake = HostHandshake::start(false, &mut out);
        let greeting = greeting(Mechanism::Null, false);
        assert_eq!(handshake.greeting(&mut &greeting[..], &mut out), Ok(true));
        let mut framed = Vec::new();
        write(&mut framed);
        let mut out = Vec::new();
        let refused = handshake.command(&framed[2..], &Users::default(), &mut out);
        assert!(out.windows(5).any(|octets| octets == b"ERROR"), "{out:?}");
        refused.unwrap_err().to_string()
    };
    assert!(refuse(&|out| command::welcome(out)).contains("out of order"));
    assert!(refuse(&|out| command::hello(out, "ann", "hush")).contains("out of order"));
    assert!(refuse(&|out| command::with_socket(out, "READY", "REQ")).contains("no DEALER"));
}

#[test]
fn other_mechanism_is_answered_with_the_one_that_is_wanted() {
    let mut out = Vec::new();
    let mut handshake = HostHandshake::start(true, &mut out);
    let greeting = greeting(Mechanism::Null, false);
    let refused = handshake.greeting(&mut &greeting[..], &mut out);
    assert_eq!(refused, Err(ZmtpFailure::Mechanism { wanted: "PLAIN" }));
    assert!(out.windows(5).any(|octets| octets == b"ERROR"));
}
