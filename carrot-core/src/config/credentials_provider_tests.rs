#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

use super::*;
use crate::config::{ConnectionOptions, Credentials};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(20);

fn options(
    provide: impl Fn() -> Result<(&'static str, &'static str), Failure> + Send + Sync + 'static,
) -> ConnectionOptions {
    ConnectionOptions::new().credentials_provider(provide)
}

fn resolve(options: &ConnectionOptions, timeout: Duration) -> Result<Credentials> {
    options.credentials.resolve("mq:5672", timeout)
}

/// The reason of a failure to connect.
fn reason(result: Result<Credentials>) -> String {
    match result {
        Err(Error::Connect { endpoint, reason, source: None, .. }) if endpoint == "mq:5672" => {
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_function_is_called_for_each_connection() {
    let calls = AtomicU32::new(0);
    let options = ConnectionOptions::new().credentials_provider(move || {
        Ok(("shop", format!("password {}", calls.fetch_add(1, Ordering::Relaxed))))
    });
    assert!(options.validate().is_ok() && options == options.clone());
    for number in 0..3 {
        let expected = Credentials::plain("shop", format!("password {number}"));
        assert_eq!(resolve(&options, LONG).unwrap(), expected);
    }
    let fixed = ConnectionOptions::new().credentials("shop", "s3cret");
    assert_eq!(resolve(&fixed, LONG).unwrap(), Credentials::plain("shop", "s3cret"));
}

#[test]
fn an_error_or_a_panic_fails_the_connect_and_is_named() {
    let failing = options(|| Err("the vault\nis sealed".into()));
    assert_eq!(
        reason(resolve(&failing, LONG)),
        "the credentials provider failed: the vault\\nis sealed"
    );
    let panicking = options(|| panic!("no vault"));
    assert_eq!(
        reason(resolve(&panicking, LONG)),
        "the credentials provider failed: panic: no vault"
    );
    // The call of a panicking function has ended.
    assert!(reason(resolve(&panicking, LONG)).contains("no vault"));
}

#[test]
fn invalid_credentials_are_refused_and_not_shown() {
    let invalid = ConnectionOptions::new().credentials_provider(|| Ok(("shop", "hunter2\0")));
    assert_eq!(
        reason(resolve(&invalid, LONG)),
        "the credentials provider returned invalid credentials: invalid configuration: password: \
         holds a NUL character"
    );
    let long = ConnectionOptions::new().credentials_provider(|| Ok(("shop", "x".repeat(65_537))));
    assert!(reason(resolve(&long, LONG)).contains("65536"));
    let token = ConnectionOptions::new().credentials_provider(|| Ok(("", "x".repeat(65_536))));
    assert!(resolve(&token, LONG).is_ok());
}

#[test]
fn a_function_that_hangs_keeps_one_thread_and_exceeds_no_deadline() {
    let (release, released) = channel::<()>();
    let (entered, entries) = channel();
    let released = Mutex::new(released);
    let options = options(move || {
        let _ = entered.send(());
        let _ = released.lock().unwrap().recv();
        Ok(("shop", "s3cret"))
    });
    for _ in 0..3 {
        let result = resolve(&options, SHORT);
        assert!(
            matches!(&result, Err(Error::Timeout { operation, .. }) if operation.contains("provider")),
            "{result:?}"
        );
    }
    entries.recv_timeout(LONG).unwrap();
    assert_eq!(entries.try_iter().count(), 0);
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(resolve(&options, LONG).unwrap(), Credentials::plain("shop", "s3cret"));
    assert_eq!(entries.try_iter().count(), 1);
}

#[test]
fn no_output_shows_what_the_function_returns() {
    let options = ConnectionOptions::new()
        .host("mq")
        .credentials_provider(|| Ok(("shop", "hunter2".to_string())));
    let resolved = resolve(&options, LONG).unwrap();
    assert!(!format!("{options:?} {options} {resolved:?}").contains("hunter2"));
    assert_eq!(options.to_string(), "amqp://mq/%2F");
    let error = serde_json::to_string(&options).unwrap_err().to_string();
    assert!(error.contains("credentials provider"), "{error}");
    assert_ne!(options, ConnectionOptions::new().host("mq"));
}
