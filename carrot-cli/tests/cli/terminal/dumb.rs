//! Terminals that can only print lines, by their variable TERM.

use super::tmux::Terminal;
use crate::support::TestBroker;

/// Values of TERM for such a terminal.
const DUMB: [Option<&str>; 3] = [None, Some(""), Some("dumb")];

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_on_a_dumb_terminal_prints_tables() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    for term in DUMB {
        let arguments = ["top", &queue, "-n", "2", "--interval", "0.1"];
        let printed = Terminal::recorded(&broker, term, &arguments).recording(0);
        assert!(!printed.contains('\u{1b}'), "{term:?}: {printed:?}");
        let rows = printed.lines().filter(|line| line.split_whitespace().next() == Some(&queue));
        assert_eq!(rows.count(), 2, "{term:?}: {printed:?}");
        let terminal = Terminal::recorded(&broker, term, &["top", &queue, "--interval", "3600"]);
        terminal.wait_for_text(&queue);
        terminal.press("C-c");
        terminal.recording(0);
    }
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn progress_on_a_dumb_terminal_is_not_shown() {
    let broker = TestBroker::hosted("amqp");
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.ok(&["publish", "-q", &from, "--count", "1000", "body"]);
    for term in DUMB {
        let move_all = ["move", &from, "--to", &to, "-n", "300"];
        for arguments in [&["bench", "--time", "1", "--rate", "300"][..], &move_all] {
            let printed = Terminal::recorded(&broker, term, arguments).recording(0);
            assert!(!printed.contains('\u{1b}'), "{term:?}: {printed:?}");
            assert!(!printed.contains("/s"), "{term:?}: {printed:?}");
        }
    }
    let bench = ["bench", "--time", "1", "--rate", "300"];
    let printed = Terminal::recorded(&broker, Some("xterm"), &bench).recording(0);
    assert!(printed.contains("published/s"), "{printed:?}");
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn error_on_a_dumb_terminal_has_no_colours() {
    let broker = TestBroker::hosted("amqp");
    for term in DUMB {
        for arguments in [&["top"][..], &["top", "--no-such"], &["--help"]] {
            let code = i32::from(!arguments.contains(&"--help")) * 2;
            let printed = Terminal::recorded(&broker, term, arguments).recording(code);
            assert!(!printed.contains('\u{1b}'), "{term:?}: {printed:?}");
        }
    }
}
