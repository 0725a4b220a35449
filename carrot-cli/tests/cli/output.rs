//! The output: escaped, and for shells and manuals.

use crate::support::{TestBroker, command, on_each_broker, run};

on_each_broker! {
    octets_that_control_a_terminal_are_escaped
}

fn octets_that_control_a_terminal_are_escaped(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let evil = "\u{1b}]0;owned\u{7}\r\u{202e}\u{9b}2J";
    broker.ok(&["publish", "-q", &queue, evil, "--type", evil, "-H", &format!("k{evil}={evil}")]);
    for arguments in [&["peek", &queue][..], &["peek", &queue, "--json"], &["consume", &queue]] {
        let printed = broker.ok(arguments);
        let controls: String = printed
            .chars()
            .filter(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}')
            .collect();
        if arguments.contains(&"--json") {
            assert!(!controls.contains('\u{1b}'), "{printed:?}");
        } else {
            assert_eq!(controls, "", "{printed:?}");
        }
    }
}

#[test]
fn completions_and_manual_name_every_command() {
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]]
    {
        let ran = run(command(arguments), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        for name in ["publish", "consume", "move", "topology", "serve"] {
            assert!(ran.output.contains(name), "{arguments:?}: {name}");
        }
    }
}

#[test]
fn help_has_no_password_of_the_environment() {
    let mut help = command(&["publish", "--help"]);
    help.env("CARROT_URL", "amqp://ann:hush-9@127.0.0.1:1");
    let ran = run(help, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.output.contains("hush"), "{}", ran.output);
}

#[test]
fn output_that_cannot_be_written_is_no_panic() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for arguments in [&["completions", "bash"][..], &["man"]] {
        let status = command(arguments).stdout(full()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}");
    }
    let broker = TestBroker::hosted("amqp");
    let name = broker.name();
    for (arguments, code) in [(&["publish", "-q", &name, "x"][..], 6), (&["count", &name], 5)] {
        let status = broker.command(arguments).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn json_of_a_message_does_not_control_the_terminal() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "\u{9b}31m \u{202e} \u{7f} \u{e9}"]);
    for command in [&["peek"][..], &["consume", "-n", "1"]] {
        let printed = broker.ok(&[command, &[&queue, "--json"]].concat());
        assert!(printed.contains(r"\u009b31m \u202e \u007f "), "{printed}");
        assert!(!printed.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{printed}");
        assert!(printed.contains('\u{e9}'), "{printed}");
    }
}

#[test]
fn manual_page_has_the_options_of_every_command() {
    let printed = run(command(&["man"]), "").output.replace('\\', "");
    for option in ["--if-empty", "--all-vhosts", "--argument", "--on-failure", "--svg"] {
        assert!(printed.contains(option), "{option}");
    }
}
