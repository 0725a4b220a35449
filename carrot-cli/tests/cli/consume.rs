//! `carrot consume` and `carrot peek`.

use std::process::Stdio;

use crate::support::{TestBroker, finish, interrupt, next_line, on_each_broker, start};

on_each_broker! {
    requeued_messages_of_a_quorum_queue_keep_their_order
    consume_acknowledges_what_it_printed
    consume_with_too_few_messages_says_so
    consume_requeues_messages
    consume_follows_until_ctrl_c
    consume_of_a_reader_that_has_gone_loses_nothing
    consume_passes_bodies_to_a_command
    consume_settles_by_the_exit_code
    consume_passes_a_message_once_to_a_command_that_fails
    peek_keeps_messages_and_their_order
}

fn filled(broker: &TestBroker, bodies: &str) -> String {
    let queue = broker.queue(&[]);
    let ran = broker.run(&["publish", "-q", &queue, "--lines"], bodies);
    assert_eq!(ran.code, 0, "{ran:?}");
    queue
}

fn consume_acknowledges_what_it_printed(broker: &TestBroker) {
    let queue = filled(broker, "one\ntwo\nthree\n");
    assert_eq!(broker.ok(&["consume", &queue, "--body", "-n", "2"]), "one\ntwo\n");
    assert_eq!(broker.ready(&queue), 1);
    assert_eq!(broker.ok(&["consume", &queue, "--body"]), "three\n");
    assert_eq!(broker.ready(&queue), 0);
}

fn consume_with_too_few_messages_says_so(broker: &TestBroker) {
    let queue = filled(broker, "one\n");
    let ran = broker.run(&["consume", &queue, "--body", "-n", "2", "--wait", "0.2"], "");
    assert_eq!((ran.code, ran.output.as_str()), (7, "one\n"), "{ran:?}");
}

fn consume_requeues_messages(broker: &TestBroker) {
    let queue = filled(broker, "one\ntwo\nthree\n");
    assert_eq!(broker.ok(&["consume", &queue, "--body", "--requeue"]), "one\ntwo\nthree\n");
    assert_eq!(broker.ready(&queue), 3);
    assert_eq!(broker.ok(&["consume", &queue, "--body"]), "one\ntwo\nthree\n");
}

fn consume_follows_until_ctrl_c(broker: &TestBroker) {
    let queue = filled(broker, "one\n");
    let (child, mut output) = start(broker.command(&["consume", &queue, "--body", "--follow"]));
    assert_eq!(next_line(&mut output), "one");
    broker.ok(&["publish", "-q", &queue, "two"]);
    assert_eq!(next_line(&mut output), "two");
    interrupt(&child);
    let ran = finish(child);
    assert_eq!((ran.code, ran.errors.as_str()), (130, "carrot: interrupted after 2 messages\n"));
    assert_eq!(broker.ready(&queue), 0);
}

fn consume_of_a_reader_that_has_gone_loses_nothing(broker: &TestBroker) {
    let lines: String = (0..5000).map(|number| format!("{number:0>200}\n")).collect();
    let queue = filled(broker, &lines);
    let (child, mut output) = start(broker.command(&["consume", &queue, "--body"]));
    assert_eq!(next_line(&mut output), format!("{:0>200}", 0));
    drop(output);
    let ran = finish(child);
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!ran.errors.contains("panicked"), "{ran:?}");
    assert!(broker.ready(&queue) > 0);
}

fn consume_passes_bodies_to_a_command(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let properties = ["--message-id", "m1", "--content-type", "text/plain"];
    broker.ok(&[&["publish", "-q", &queue, "body"][..], &properties].concat());
    let script = r#"cat; echo " $CARROT_MESSAGE_ID $CARROT_CONTENT_TYPE $CARROT_REDELIVERED""#;
    let printed = broker.ok(&["consume", &queue, "-n", "1", "--", "sh", "-c", script]);
    assert_eq!(printed, "body m1 text/plain 0\n");
    assert_eq!(broker.ready(&queue), 0);
}

fn consume_settles_by_the_exit_code(broker: &TestBroker) {
    let dead = broker.queue(&[]);
    let key = format!("x-dead-letter-routing-key={dead}");
    let arguments = ["--argument", "x-dead-letter-exchange=", "--argument", &key];
    let queue = broker.queue(&arguments);
    broker.run(&["publish", "-q", &queue, "--lines"], "good\nbad\nlast\n");
    let script = ["--", "sh", "-c", "read body; test \"$body\" != bad"];
    let ran = broker.run(&[&["consume", &queue][..], &script].concat(), "");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.errors.contains("the command failed for 1 of 2 messages"), "{ran:?}");
    assert_eq!((broker.ready(&queue), broker.ready(&dead)), (2, 0));
    let rejecting = ["consume", &queue, "--on-failure", "reject", "-n", "2"];
    let ran = broker.run(&[&rejecting[..], &script].concat(), "");
    assert_eq!(ran.code, 6, "{ran:?}");
    broker.wait_for_ready(&dead, 1);
    assert_eq!(broker.ready(&queue), 0);
    // A command that does not read its input has handled the message.
    broker.ok(&["publish", "-q", &queue, &"x".repeat(1_000)]);
    broker.ok(&["consume", &queue, "-n", "1", "--", "true"]);
    // A program that does not exist is an error of the arguments, and keeps the message.
    broker.ok(&["publish", "-q", &queue, "kept"]);
    let ran = broker.run(&["consume", &queue, "-n", "1", "--", "/nonexistent/program"], "");
    assert_eq!(ran.code, 2, "{ran:?}");
    broker.wait_for_ready(&queue, 1);
}

fn consume_passes_a_message_once_to_a_command_that_fails(broker: &TestBroker) {
    let queue = filled(broker, "one\ntwo\nthree\n");
    let consuming = ["consume", &queue, "--on-failure", "requeue"];
    let script = ["--", "sh", "-c", "read body; echo $body; test $body = two"];
    let ran = broker.run(&[&consuming[..], &script].concat(), "");
    assert_eq!((ran.code, ran.output.as_str()), (6, "one\ntwo\nthree\n"), "{ran:?}");
    assert!(ran.errors.ends_with("the command failed for 2 of 3 messages\n"), "{ran:?}");
    assert_eq!(broker.ok(&["consume", &queue, "--body"]), "one\nthree\n");
}

fn peek_keeps_messages_and_their_order(broker: &TestBroker) {
    let queue = filled(broker, "one\ntwo\nthree\n");
    let printed = broker.run(&["peek", &queue, "-n", "2", "--json"], "");
    assert_eq!(printed.code, 0, "{printed:?}");
    assert_eq!(printed.output.lines().count(), 2, "{printed:?}");
    assert!(printed.errors.contains("requeued 2 messages, now marked as redelivered"));
    assert_eq!(broker.ok(&["consume", &queue, "--body"]), "one\ntwo\nthree\n");
    let mut child = broker.command(&["peek", &queue]);
    assert_eq!(child.stdout(Stdio::null()).status().unwrap().code(), Some(0));
}

fn requeued_messages_of_a_quorum_queue_keep_their_order(broker: &TestBroker) {
    for look in [&["peek", "-n", "3"][..], &["consume", "--requeue", "-n", "3"]] {
        let queue = broker.name();
        broker.ok(&["declare", "queue", &queue, "--type", "quorum"]);
        let ran = broker.run(&["publish", "-q", &queue, "--lines"], "a\nb\nc\nd\n");
        assert_eq!(ran.code, 0, "{ran:?}");
        broker.ok(&[look, &[&queue]].concat());
        let printed = broker.ok(&["consume", &queue, "--body", "-n", "4"]);
        // RabbitMQ 3.10 puts them behind the others.
        let looked_at: Vec<&str> = printed.lines().filter(|body| *body != "d").collect();
        assert_eq!(looked_at, ["a", "b", "c"], "{look:?}");
        broker.ok(&["delete", "queue", &queue]);
    }
}

#[test]
fn peek_takes_no_message_after_64_mib() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(16_000_000).unwrap();
    let path = file.path().to_str().unwrap();
    broker.ok(&["publish", "-q", &queue, "--count", "6", "--timeout", "60", "--file", path]);
    let (child, output) = start(broker.command(&["peek", &queue, "--timeout", "60"]));
    // Nothing reads the bodies.
    drop(output);
    let ran = finish(child);
    assert!(ran.errors.starts_with("carrot: requeued 5 messages,"), "{ran:?}");
    assert!(ran.errors.contains("the bodies have 64 MiB"), "{ran:?}");
    assert_eq!(broker.ready(&queue), 6);
}
