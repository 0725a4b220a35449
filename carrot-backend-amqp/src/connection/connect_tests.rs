#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Weak;
use std::sync::mpsc;

use carrot_core::backend::Role;

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// Connects to hosts, of which a test says where they are.
fn connect_to(
    hosts: &str,
    timeout: Duration,
    look_up: impl Fn(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
) -> Error {
    let options: ConnectionOptions = format!("amqp://{hosts}").parse().unwrap();
    let connecting = Connecting {
        credentials: Credentials::plain("guest", "guest"),
        name: "test".into(),
        role_context: RoleContext {
            role: Role::Publish,
            observers: Weak::new(),
            isolation: Arc::default(),
            supervisor: Arc::default(),
            max_waiting_bytes: None,
        },
        attempt: Arc::default(),
        options: Arc::new(options),
        timeout,
        deadline: Instant::now() + timeout,
    };
    connecting.run(look_up).err().unwrap()
}

#[test]
fn name_without_an_answer_leaves_time_for_the_next_host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, is_connected) = mpsc::channel();
    std::thread::spawn(move || {
        // The socket is closed at once, so that the attempt ends.
        connected.send(listener.accept().is_ok()).unwrap();
    });
    let shares = std::cell::RefCell::new(Vec::new());
    let error = connect_to("silent,here", SOON, |name, _, share| {
        shares.borrow_mut().push(share);
        if name == "here" { Ok(vec![address]) } else { Err(ErrorKind::TimedOut.into()) }
    });
    assert!(is_connected.recv_timeout(SOON).unwrap());
    // The first name has half of the time.
    let shares = shares.into_inner();
    assert!(shares[0] <= SOON / 2 && shares[1] > SOON / 2, "{shares:?}");
    let text = error.to_string();
    assert!(text.contains("silent:5672: no answer in time (resolving silent)"), "{text}");
}

#[test]
fn host_is_tried_before_the_next_name_is_looked_up() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let looked_up = std::cell::RefCell::new(Vec::new());
    let error = connect_to("first,second", SOON, |name, _, _| {
        looked_up.borrow_mut().push(name.to_string());
        if name == "first" { Ok(vec![refused]) } else { Ok(Vec::new()) }
    });
    assert_eq!(looked_up.into_inner(), ["first", "second"]);
    let text = error.to_string();
    assert!(text.contains("TCP failed"), "{text}");
    assert!(text.contains("second:5672: the name does not resolve: it has no address"), "{text}");
}

#[test]
fn only_name_without_an_answer_is_a_timeout() {
    let short = Duration::from_millis(50);
    let error = connect_to("silent", short, |_, _, share| {
        std::thread::sleep(share);
        Err(ErrorKind::TimedOut.into())
    });
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("resolving silent"), "{error}");
}
