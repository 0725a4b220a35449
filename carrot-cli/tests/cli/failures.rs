//! Brokers that cannot be reached or refuse, and arguments that cannot be used.

use crate::support::{TestBroker, command, on_each_broker, run};

on_each_broker! {
    missing_queue_is_named
    queue_with_other_properties_is_refused
    deletion_of_what_does_not_exist_fails
    name_that_is_empty_is_refused
}

fn missing_queue_is_named(broker: &TestBroker) {
    let name = broker.name();
    for arguments in [
        &["count", &name][..],
        &["peek", &name],
        &["consume", &name],
        &["move", &name, "--to", "x"],
    ] {
        let ran = broker.run(arguments, "");
        assert_eq!(ran.code, 5, "{arguments:?}: {ran:?}");
        assert!(ran.errors.contains(&name), "{arguments:?}: {ran:?}");
    }
}

fn queue_with_other_properties_is_refused(broker: &TestBroker) {
    let queue = broker.queue(&["--argument", "x-max-length:=7"]);
    let ran = broker.run(&["declare", "queue", &queue], "");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.errors.contains("x-max-length"), "{ran:?}");
}

fn deletion_of_what_does_not_exist_fails(broker: &TestBroker) {
    let name = broker.name();
    for kind in ["queue", "exchange"] {
        let ran = broker.run(&["delete", kind, &name], "");
        assert_eq!(ran.code, 5, "{kind}: {ran:?}");
        assert!(ran.errors.contains(&name), "{kind}: {ran:?}");
        broker.ok(&["declare", kind, &name]);
        broker.ok(&["delete", kind, &name]);
    }
}

fn name_that_is_empty_is_refused(broker: &TestBroker) {
    for command in [["declare", "queue"], ["declare", "exchange"], ["delete", "queue"]] {
        let ran = broker.run(&[&command[..], &[""]].concat(), "");
        assert_eq!(ran.code, 2, "{command:?}: {ran:?}");
        assert!(ran.errors.contains("0 bytes, and needs 1 to 255"), "{command:?}: {ran:?}");
    }
}

#[test]
fn broker_that_cannot_be_reached_is_exit_code_3() {
    let started = std::time::Instant::now();
    let ran = run(command(&["count", "q", "--url", "amqp://127.0.0.1:1", "--timeout", "20"]), "");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.errors.contains("127.0.0.1:1"), "{ran:?}");
    assert!(started.elapsed() < crate::support::LONG);
}

#[test]
fn wrong_password_is_exit_code_4_and_not_printed() {
    let broker = TestBroker::hosted("amqp");
    let url = broker.url.replace("amqp://", "amqp://ann:hush-9@");
    let ran = run(command(&["count", "q", "--url", &url]), "");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.errors.contains("\"ann\"") && !ran.errors.contains("hush"), "{ran:?}");
    assert!(ran.errors.contains("other users of this machine can read the password"), "{ran:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hush-9\n").unwrap();
    let user = ["--user", "ann", "--password-file", file.path().to_str().unwrap()];
    let ran = run(command(&[&["count", "q", "--url", &broker.url][..], &user].concat()), "");
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(!ran.errors.contains("hush") && !ran.errors.contains("can read"), "{ran:?}");
}

#[test]
fn arguments_that_cannot_be_used_are_exit_code_2() {
    for arguments in [
        &["publish", "--url", "gopher://x", "-q", "q", "a"][..],
        &["publish", "--url", "amqp://x:99999", "-q", "q", "a"],
        &["publish", "a"],
        &["publish", "-q", "q", "-H", "novalue", "a"],
        &["publish", "-q", "q", "-H", "a:=soon", "a"],
        &["publish", "-q", "q", "--rate=-1", "a"],
        &["publish", "-q", "q", "--rate", "nan", "a"],
        &["bench", "--rate", "0"],
        &["publish", "-q", "q", "--priority", "256", "a"],
        &["consume"],
        &["consume", "q", "--timeout", "soon"],
        &["move", "q"],
        &["move", "q", "--to", "r", "--back"],
        &["move", "q", "--to", "r", "--trust-headers"],
        &["serve"],
        &["serve", "--amqp", "0.0.0.0:0"],
        &["serve", "--amqp", "127.0.0.1:0", "--release", "9.9"],
        &["topology", "apply", "/nonexistent.toml"],
        &["nothing"],
    ] {
        let ran = run(command(arguments), "");
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(
            ran.errors.len() > 10 && !ran.errors.contains("panicked"),
            "{arguments:?}: {ran:?}"
        );
    }
}
