//! `carrot move` and `carrot purge`.

use crate::support::{TestBroker, on_each_broker};

on_each_broker! {
    move_to_a_queue_keeps_properties_and_order
    move_of_chosen_messages_leaves_the_others
    move_of_a_number_of_chosen_messages_moves_that_number
    move_back_needs_trust_in_headers
    move_that_cannot_deliver_loses_nothing
    purge_needs_a_yes
}

fn move_to_a_queue_keeps_properties_and_order(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.run(&["publish", "-q", &from, "--lines", "-H", "n:=7", "--priority", "2"], "a\nb\nc\n");
    let printed = broker.ok(&["move", &from, "--to", &to, "--dry-run", "--json"]);
    assert_eq!(printed, format!("{{\"kept\":3,\"would_move\":{{\"{to}\":3}}}}\n"));
    assert_eq!((broker.ready(&from), broker.ready(&to)), (3, 0));
    let printed = broker.ok(&["move", &from, "--to", &to, "--json"]);
    assert_eq!(printed, format!("{{\"kept\":0,\"moved\":{{\"{to}\":3}}}}\n"));
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
