//! `carrot serve`.

use crate::support::{TestBroker, command, finish, interrupt, next_line, run, start};

#[test]
fn serve_hosts_one_broker_over_both_protocols() {
    let arguments =
        ["serve", "--amqp", "127.0.0.1:0", "--zeromq", "127.0.0.1:0", "--release", "3.10"];
    let (child, mut output) = start(command(&arguments));
    let (amqp, zeromq) = (next_line(&mut output), next_line(&mut output));
    assert!(amqp.starts_with("amqp://127.0.0.1:") && zeromq.starts_with("zmq://127.0.0.1:"));
    let on =
        |url: &str, arguments: &[&str]| run(command(&[arguments, &["--url", url]].concat()), "");
    assert_eq!(on(&amqp, &["declare", "queue", "jobs"]).code, 0);
    assert_eq!(on(&amqp, &["publish", "-q", "jobs", "body"]).code, 0);
    assert_eq!(on(&zeromq, &["consume", "jobs", "--body", "-n", "1"]).output, "body\n");
    interrupt(&child);
    let ran = finish(child);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""));
    assert_eq!(on(&amqp, &["count", "jobs", "--timeout", "1"]).code, 3);
}

#[test]
fn serve_with_a_user_refuses_others() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hush-9\n").unwrap();
    let path = file.path().to_str().unwrap();
    let user = ["--host-user", "ann", "--host-password-file", path];
    let (child, mut output) =
        start(command(&[&["serve", "--amqp", "127.0.0.1:0"][..], &user].concat()));
    let url = next_line(&mut output);
    assert_eq!(run(command(&["declare", "queue", "q", "--url", &url]), "").code, 4);
    let user = ["--user", "ann", "--password-file", path];
    let arguments = [&["declare", "queue", "q", "--url", &url][..], &user].concat();
    let ran = run(command(&arguments), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    interrupt(&child);
    assert_eq!(finish(child).code, 0);
}

#[test]
fn serve_on_a_used_address_says_so() {
    let broker = TestBroker::hosted("amqp");
    let address = broker.url.trim_start_matches("amqp://");
    let ran = run(command(&["serve", "--amqp", address]), "");
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.errors.contains("in use") || ran.errors.contains("AddrInUse"), "{ran:?}");
}
