//! Names that would control the terminal: escaped in every text, and once.

use crate::support::{Ran, TestBroker, command, on_each_broker, run};

/// Clears a screen, and changes the direction of text.
const EVIL: &str = "evil\u{1b}[2J\u{202e}\u{9b}";

on_each_broker! {
    name_in_an_error_is_escaped_once
    name_in_a_report_is_escaped_once
    name_in_a_topology_is_escaped_and_the_same
}

/// Asserts that a text has the name in its escaped form, and nothing that controls a terminal.
fn is_escaped_once(text: &str, about: &[&str]) {
    let controls = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!text.contains(controls), "{about:?}: {text:?}");
    assert!(text.contains(r"\u{202e}"), "{about:?}: {text}");
    assert!(!text.contains(r"\\u"), "{about:?}: {text}");
}

fn name_in_an_error_is_escaped_once(broker: &TestBroker) {
    let missing = format!("{}{EVIL}", broker.name());
    let queue = broker.queue(&[]);
    let long = format!("{EVIL}{}", "x".repeat(255));
    let header = format!("{}={EVIL}", "x".repeat(256));
    for arguments in [
        &["count", &missing][..],
        &["peek", &missing],
        &["consume", &missing],
        &["consume", &queue, "--", &missing],
        &["move", &missing, "--to", &queue],
        &["move", &queue, "--to", &missing],
        &["purge", &missing, "--yes"],
        &["delete", "queue", &missing],
        &["delete", "exchange", &missing],
        &["bind", &missing, &queue],
        &["bind", "amq.direct", &missing],
        &["publish", "-q", &missing, "x"],
        &["publish", "-e", &missing, "-k", EVIL, "x"],
        &["publish", "-e", "amq.direct", "-k", EVIL, "x"],
        &["publish", "-q", &long, "x"],
        &["publish", "-q", &queue, "--file", &missing],
        &["declare", "exchange", &broker.name(), "--type", EVIL],
        &["topology", "check", &missing],
        &["topology", "export", &missing],
        &["top", &missing, "-n", "1"],
        &["list", "queues", &missing],
        &["completions", EVIL],
        &["publish", "-q", &queue, "-H", &header, "x"],
        &["count", "--url", &format!("amqp://{EVIL}:x@127.0.0.1:1/%ff"), "q"],
        &["count", "q", "--user", EVIL, "--password-file", &missing],
        &["list", "--management", &format!("http://{EVIL}"), "--control", EVIL],
    ] {
        broker.ok(&["publish", "-q", &queue, "x"]);
        let ran = broker.run(arguments, "");
        assert_ne!(ran.code, 0, "{arguments:?}: {ran:?}");
        let text = format!("{}{}", ran.output, ran.errors);
        let is_named = text.contains("evil") || text.contains("202e");
        if is_named {
            is_escaped_once(&text, arguments);
        } else {
            // A refused URL is not repeated.
            assert!(arguments.iter().any(|word| word.starts_with("--")), "{arguments:?}: {text}");
        }
        let text = broker.run(&[arguments, &["--json"]].concat(), "").errors;
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{arguments:?}: {text:?}");
    }
}

fn name_in_a_report_is_escaped_once(broker: &TestBroker) {
    let [dead, gone] = [(); 2].map(|()| format!("{}{EVIL}", broker.name()));
    broker.ok(&["declare", "queue", &dead]);
    broker.ok(&["publish", "-q", &dead, "x", "-H", &format!("carrot-queue={gone}")]);
    let texts = |ran: Ran| format!("{}{}", ran.output, ran.errors);
    for arguments in [
        &["count", &dead][..],
        &["doctor", &gone],
        &["move", &dead, "--back"],
        &["move", &dead, "--back", "--trust-headers"],
        &["peek", &dead],
        &["top", &dead, "-n", "1"],
        &["list", "queues", &dead],
        &["purge", &dead, "--yes"],
    ] {
        is_escaped_once(&texts(broker.run(arguments, "")), arguments);
    }
}

fn name_in_a_topology_is_escaped_and_the_same(broker: &TestBroker) {
    let name = format!("{}{EVIL}\\'\"", broker.name());
    broker.ok(&["declare", "queue", &name]);
    let folder = tempfile::tempdir().unwrap();
    for (format, file) in [("toml", "t.toml"), ("json", "t.json")] {
        let printed = broker.ok(&["topology", "export", &name, "--format", format]);
        assert!(!printed.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{printed:?}");
        let path = folder.path().join(file);
        std::fs::write(&path, &printed).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(broker.ok(&["topology", "check", path]), "no differences\n", "{printed}");
        broker.ok(&["delete", "queue", &name]);
        let ran = broker.run(&["topology", "check", path], "");
        assert_eq!(ran.code, 5, "{ran:?}");
        is_escaped_once(&ran.output, &["topology", "check"]);
        broker.ok(&["topology", "apply", path]);
        assert_eq!(broker.ready(&name), 0);
    }
}

#[test]
fn argument_that_cannot_be_used_is_escaped_once() {
    for arguments in [&["completions", EVIL][..], &[EVIL], &["count", "--timeout", EVIL, "q"]] {
        let ran = run(command(arguments), "");
        assert_eq!(ran.code, 2, "{ran:?}");
        is_escaped_once(&ran.errors, arguments);
    }
}
