//! `carrot move` and `carrot purge`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{LONG, TestBroker, finish, interrupt, next_line, on_each_broker, start};

on_each_broker! {
    move_to_a_queue_keeps_properties_and_order
    move_of_chosen_messages_leaves_the_others
    move_of_a_number_of_chosen_messages_moves_that_number
    move_by_a_number_in_a_header_ignores_its_type
    move_that_is_only_shown_looks_at_every_message
    move_that_is_only_shown_ends_at_ctrl_c
    move_back_needs_trust_in_headers
    move_back_leaves_what_names_no_queue
    move_back_leaves_what_has_no_queue_any_more
    move_back_leaves_what_a_full_queue_refuses
    move_that_cannot_deliver_loses_nothing
    purge_needs_a_yes
}

fn move_to_a_queue_keeps_properties_and_order(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.run(&["publish", "-q", &from, "--lines", "-H", "n:=7", "--priority", "2"], "a\nb\nc\n");
    let printed = broker.ok(&["move", &from, "--to", &to, "--dry-run", "--json"]);
    assert_eq!(printed, format!("{{\"kept\":0,\"looked_at\":3,\"would_move\":{{\"{to}\":3}}}}\n"));
    assert_eq!((broker.ready(&from), broker.ready(&to)), (3, 0));
    let printed = broker.ok(&["move", &from, "--to", &to, "--json"]);
    assert_eq!(
        printed,
        format!("{{\"kept\":0,\"looked_at\":3,\"moved\":{{\"{to}\":3}},\"stays\":[]}}\n")
    );
    assert_eq!((broker.ready(&from), broker.ready(&to)), (0, 3));
    let printed = broker.ok(&["consume", &to, "--json"]);
    let bodies: Vec<String> = printed
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["properties"]["headers"]["n"], 7);
            assert_eq!(line["properties"]["priority"], 2);
            line["body"].as_str().unwrap().into()
        })
        .collect();
    assert_eq!(bodies, ["a", "b", "c"]);
}

fn move_of_chosen_messages_leaves_the_others(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    for kind in ["good", "bad", "good"] {
        broker.ok(&["publish", "-q", &from, kind, "-H", &format!("kind={kind}")]);
    }
    broker.ok(&["move", &from, "--to", &to, "--if-header", "kind=good"]);
    assert_eq!((broker.ready(&from), broker.ready(&to)), (1, 2));
    broker.ok(&["move", &to, "--to", &from, "-n", "1", "--if-routing-key", &to]);
    assert_eq!((broker.ready(&from), broker.ready(&to)), (2, 1));
    let ran = broker.run(&["move", &from, "--to", &from], "");
    assert_eq!(ran.code, 2, "{ran:?}");
}

fn move_of_a_number_of_chosen_messages_moves_that_number(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    for kind in ["bad", "bad", "good", "good"] {
        broker.ok(&["publish", "-q", &from, kind, "-H", &format!("kind={kind}")]);
    }
    let arguments = ["move", &from, "--to", &to, "--if-header", "kind=good", "-n", "1", "--json"];
    let printed = broker.ok(&[&arguments[..], &["--dry-run"]].concat());
    assert!(printed.contains(&format!("{{\"{to}\":1}}")), "{printed}");
    broker.ok(&arguments);
    assert_eq!((broker.ready(&from), broker.ready(&to)), (3, 1));
}

fn move_by_a_number_in_a_header_ignores_its_type(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    for header in [r#"n:={"!i64":5}"#, "n:=5", r#"n:={"!u8":6}"#, "n=5"] {
        broker.ok(&["publish", "-q", &from, "x", "-H", header]);
    }
    broker.ok(&["move", &from, "--to", &to, "--if-header", "n:=5"]);
    assert_eq!((broker.ready(&from), broker.ready(&to)), (2, 2));
}

fn move_that_is_only_shown_looks_at_every_message(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.ok(&["publish", "-q", &from, "x", "--count", "1500"]);
    broker.ok(&["publish", "-q", &from, "x", "-H", "a=b"]);
    let arguments = ["move", &from, "--to", &to, "--if-header", "a=b", "--dry-run", "--json"];
    let printed: Value = serde_json::from_str(&broker.ok(&arguments)).unwrap();
    let expected = json!({ "would_move": { &*to: 1 }, "kept": 1500, "looked_at": 1501 });
    assert_eq!(printed, expected);
    broker.wait_for_ready(&from, 1501);
}

fn move_that_is_only_shown_ends_at_ctrl_c(broker: &TestBroker) {
    const MESSAGES: u64 = 20_000;
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.ok(&["publish", "-q", &from, "x", "--count", &MESSAGES.to_string()]);
    let arguments = ["move", &from, "--to", &to, "--dry-run", "--json"];
    let (child, mut output) = start(broker.command(&arguments));
    let deadline = Instant::now() + LONG;
    while broker.ready(&from) == MESSAGES {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    interrupt(&child);
    let printed: Value = serde_json::from_str(&next_line(&mut output)).unwrap();
    assert!((1..MESSAGES).contains(&printed["looked_at"].as_u64().unwrap()), "{printed}");
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    broker.wait_for_ready(&from, MESSAGES);
}

/// Declares a queue whose dead letters go to another one.
fn queue_with_dead_letters(broker: &TestBroker, dead: &str, more: &[&str]) -> String {
    let key = format!("x-dead-letter-routing-key={dead}");
    let arguments = ["--argument", "x-dead-letter-exchange=", "--argument", &key];
    broker.queue(&[&arguments[..], more].concat())
}

/// Publishes a message, and rejects it.
fn die(broker: &TestBroker, queue: &str) {
    broker.ok(&["publish", "-q", queue, "bad"]);
    broker.run(&["consume", queue, "-n", "1", "--on-failure", "reject", "--", "false"], "");
}

fn move_back_leaves_what_names_no_queue(broker: &TestBroker) {
    let from = broker.queue(&[]);
    broker.ok(&["publish", "-q", &from, "x", "-H", "carrot-queue="]);
    broker.ok(&["publish", "-q", &from, "x", "-H", "carrot-queue:=7"]);
    broker.ok(&["publish", "-q", &from, "x"]);
    let shown = broker.ok(&["move", &from, "--back", "--dry-run", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown, json!({ "would_move": {}, "kept": 3, "looked_at": 3 }));
    broker.wait_for_ready(&from, 3);
    let moved = broker.ok(&["move", &from, "--back", "--trust-headers", "--json"]);
    let moved: Value = serde_json::from_str(&moved).unwrap();
    assert_eq!(moved, json!({ "moved": {}, "kept": 3, "looked_at": 3, "stays": [] }));
}

fn move_back_leaves_what_has_no_queue_any_more(broker: &TestBroker) {
    let dead = broker.queue(&[]);
    let [gone, here] = [(); 2].map(|()| queue_with_dead_letters(broker, &dead, &[]));
    for queue in [&gone, &here, &gone, &here] {
        die(broker, queue);
    }
    broker.wait_for_ready(&dead, 4);
    broker.ok(&["delete", "queue", &gone]);
    let ran = broker.run(&["move", &dead, "--back", "--trust-headers"], "");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.errors.contains(&format!("2 messages stay: no queue {gone:?}\n")), "{ran:?}");
    assert!(!ran.output.contains("no message was meant"), "{ran:?}");
    assert_eq!((broker.ready(&dead), broker.ready(&here)), (2, 2));
    let ran = broker.run(&["move", &dead, "--back", "--trust-headers", "--json"], "");
    assert_eq!(ran.code, 6, "{ran:?}");
    let reason = format!("no queue {gone:?}");
    let stays = json!([{ "queue": gone, "reason": reason, "messages": 2 }]);
    let printed: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(printed, json!({ "moved": {}, "kept": 2, "looked_at": 2, "stays": stays }));
}

fn move_back_leaves_what_a_full_queue_refuses(broker: &TestBroker) {
    let dead = broker.queue(&[]);
    let full = ["--argument", "x-max-length:=1", "--argument", "x-overflow=reject-publish"];
    let full = queue_with_dead_letters(broker, &dead, &full);
    let here = queue_with_dead_letters(broker, &dead, &[]);
    for queue in [&full, &full, &full, &here] {
        die(broker, queue);
    }
    broker.wait_for_ready(&dead, 4);
    let ran = broker.run(&["move", &dead, "--back", "--trust-headers"], "");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.errors.contains(&format!("2 messages stay: queue {full:?}: ")), "{ran:?}");
    assert_eq!([&dead, &full, &here].map(|queue| broker.ready(queue)), [2, 1, 1]);
}

#[test]
fn move_that_is_only_shown_holds_a_bounded_number_of_bytes() {
    let broker = TestBroker::hosted("amqp");
    let from = broker.queue(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(16 << 20).unwrap();
    let path = file.path().to_str().unwrap();
    broker.ok(&["publish", "-q", &from, "--file", path, "--count", "6", "--timeout", "60"]);
    let ran = broker.run(&["move", &from, "--to", "x", "--dry-run", "--json"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let printed: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(printed, json!({ "would_move": { "x": 4 }, "kept": 0, "looked_at": 4 }));
    assert!(ran.errors.contains("looked at 4 of 6 messages"), "{ran:?}");
    broker.wait_for_ready(&from, 6);
}

fn move_back_needs_trust_in_headers(broker: &TestBroker) {
    let dead = broker.queue(&[]);
    let key = format!("x-dead-letter-routing-key={dead}");
    let arguments = ["--argument", "x-dead-letter-exchange=", "--argument", &key];
    let (first, second) = (broker.queue(&arguments), broker.queue(&arguments));
    for queue in [&first, &second, &second] {
        broker.ok(&["publish", "-q", queue, "bad"]);
        broker.run(&["consume", queue, "-n", "1", "--on-failure", "reject", "--", "false"], "");
    }
    broker.wait_for_ready(&dead, 3);
    let ran = broker.run(&["move", &dead, "--back"], "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.output.contains(&first) && ran.output.contains(&second), "{ran:?}");
    assert!(ran.errors.contains("--trust-headers"), "{ran:?}");
    assert_eq!(broker.ready(&dead), 3);
    broker.ok(&["move", &dead, "--back", "--trust-headers", "--if-died-in", &first]);
    assert_eq!((broker.ready(&first), broker.ready(&dead)), (1, 2));
    broker.ok(&["move", &dead, "--back", "--trust-headers"]);
    assert_eq!((broker.ready(&second), broker.ready(&dead)), (2, 0));
}

fn move_that_cannot_deliver_loses_nothing(broker: &TestBroker) {
    let (from, full) = (
        broker.queue(&[]),
        broker.queue(&["--argument", "x-max-length:=1", "--argument", "x-overflow=reject-publish"]),
    );
    broker.run(&["publish", "-q", &from, "--lines"], "a\nb\nc\n");
    let ran = broker.run(&["move", &from, "--to", &full], "");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert_eq!((broker.ready(&from), broker.ready(&full)), (2, 1));
    let ran = broker.run(&["move", &from, "--to", &broker.name()], "");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(broker.ready(&from), 2);
}

fn purge_needs_a_yes(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "a", "--count", "5"]);
    assert_eq!(broker.run(&["purge", &queue], "y\n").code, 2);
    assert_eq!(broker.ready(&queue), 5);
    let printed = broker.ok(&["purge", &queue, "--yes", "--json"]);
    assert_eq!(printed, format!("{{\"purged\":5,\"queue\":\"{queue}\"}}\n"));
    assert_eq!(broker.ready(&queue), 0);
}

/// Publishes this number of messages of 1 MiB, each with another header.
fn publish_large(broker: &TestBroker, queue: &str, number: usize) {
    let body = "x".repeat(1 << 20);
    let line = |n| json!({ "body": body, "properties": { "headers": { "n": n } } }).to_string();
    let lines: Vec<String> = (0..number).map(line).collect();
    let arguments = ["publish", "-q", queue, "--json-lines", "--timeout", "60"];
    let ran = broker.run(&arguments, &lines.join("\n"));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn move_that_holds_as_much_as_it_may_gives_back_and_says_so() {
    let broker = TestBroker::hosted("amqp");
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    publish_large(&broker, &from, 6);
    broker.ok(&["publish", "-q", &from, "x", "-H", "n:=6"]);
    let arguments = ["move", &from, "--to", &to, "--if-header", "n:=6", "--max-held", "3"];
    let ran = broker.run(&arguments, "");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.errors.contains("looked at 3 of 7 messages"), "{ran:?}");
    assert!(ran.errors.contains("--max-held"), "{ran:?}");
    broker.wait_for_ready(&from, 7);
    let ran = broker.run(&[&arguments[..], &["--json"]].concat(), "");
    let printed: Value = serde_json::from_str(&ran.output).unwrap();
    let expected = json!({ "moved": {}, "kept": 3, "looked_at": 3, "stays": [] });
    assert_eq!(printed, expected, "{ran:?}");
    broker.wait_for_ready(&from, 7);
    // What is moved is not held.
    broker.ok(&["move", &from, "--to", &to, "--max-held", "1"]);
    broker.wait_for_ready(&to, 7);
    let arguments = ["move", &to, "--to", &from, "--if-header", "n:=6", "--max-held", "7"];
    broker.ok(&arguments);
    assert_eq!((broker.ready(&from), broker.ready(&to)), (1, 6));
}

#[test]
fn move_counts_small_messages_and_their_properties_against_its_limit() {
    let broker = TestBroker::hosted("amqp");
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    let looked_at = || {
        let arguments = ["move", &from, "--to", &to, "--if-header", "a=b", "--max-held", "1"];
        let ran = broker.run(&[&arguments[..], &["--json"]].concat(), "");
        assert_eq!(ran.code, 6, "{ran:?}");
        let printed: Value = serde_json::from_str(&ran.output).unwrap();
        printed["looked_at"].as_u64().unwrap()
    };
    broker.ok(&["publish", "-q", &from, "", "--count", "5000"]);
    assert!((1000..4097).contains(&looked_at()));
    broker.ok(&["purge", &from, "--yes"]);
    let header = format!("h={}", "x".repeat(50_000));
    broker.ok(&["publish", "-q", &from, "", "-H", &header, "--count", "50"]);
    assert!((15..25).contains(&looked_at()));
}

#[test]
fn move_back_counts_what_its_queue_refuses_against_its_limit() {
    let broker = TestBroker::hosted("amqp");
    let from = broker.queue(&[]);
    let header = format!("carrot-queue={}", broker.name());
    let body = "x".repeat(100_000);
    broker.ok(&["publish", "-q", &from, &body, "-H", &header, "--count", "20"]);
    let arguments = ["move", &from, "--back", "--trust-headers", "--max-held", "1", "--json"];
    let ran = broker.run(&arguments, "");
    assert_eq!(ran.code, 6, "{ran:?}");
    let printed: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!((&printed["kept"], &printed["looked_at"]), (&json!(11), &json!(11)), "{printed}");
    broker.wait_for_ready(&from, 20);
}
