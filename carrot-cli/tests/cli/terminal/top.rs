//! `carrot top` in a terminal.

use unicode_width::UnicodeWidthStr;

use super::tmux::Terminal;
use crate::support::{TestBroker, finish, interrupt, next_line, start};

const SIZE: (usize, usize) = (80, 24);

/// Whether the row of a queue has this number of ready messages.
fn has_row(lines: &[String], queue: &str, ready: u64) -> bool {
    let is_row = |line: &&String| line.split_whitespace().next() == Some(queue);
    let row = lines.iter().find(is_row).map(|line| line.split_whitespace().nth(1));
    row == Some(Some(&ready.to_string()))
}

fn shows(terminal: &Terminal, queue: &str, ready: u64) -> Vec<String> {
    terminal.wait_for(&format!("{queue} {ready}"), |lines| has_row(lines, queue, ready))
}

/// Starts top with the terminal, and waits for its picture.
fn top(broker: &TestBroker, queue: &str, arguments: &[&str]) -> Terminal {
    let arguments = [&["top", queue, "--timeout", "1"], arguments].concat();
    let terminal = Terminal::run(broker, &arguments, SIZE);
    shows(&terminal, queue, broker.ready(queue));
    terminal
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_shows_numbers_and_their_changes() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "--count", "3", "body"]);
    let terminal = top(&broker, &queue, &["--interval", "0.2"]);
    let lines = shows(&terminal, &queue, 3);
    assert_eq!(lines.len(), SIZE.1, "{lines:#?}");
    assert!(lines[0].starts_with("1 queue   3 ready   "), "{lines:#?}");
    assert_eq!(lines[SIZE.1 - 1], "q ends");
    assert_eq!((terminal.flag("alternate_on"), terminal.flag("cursor_flag")), (1, 0));
    broker.ok(&["publish", "-q", &queue, "--count", "2000", "body"]);
    let lines = shows(&terminal, &queue, 2003);
    assert!(lines.iter().any(|line| line.contains('█')), "{lines:#?}");
    broker.ok(&["purge", &queue, "--yes"]);
    shows(&terminal, &queue, 0);
    terminal.press("x");
    terminal.press("q");
    terminal.is_restored(0);
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_that_is_ended_restores_the_terminal() {
    let broker = TestBroker::hosted("zeromq");
    let queue = broker.queue(&[]);
    for key in ["Q", "C-c"] {
        let terminal = top(&broker, &queue, &["--interval", "3600"]);
        terminal.press(key);
        terminal.is_restored(0);
    }
    for signal in ["-INT", "-TERM"] {
        let terminal = top(&broker, &queue, &["--interval", "3600"]);
        terminal.signal(signal);
        terminal.is_restored(0);
    }
    let terminal = Terminal::run(&broker, &["top", &queue, "-n", "1"], SIZE);
    terminal.is_restored(0);
    let terminal = Terminal::run(&broker, &["top", &broker.name()], SIZE);
    terminal.is_restored(5);
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_that_is_ended_during_a_request_does_not_wait_for_it() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    for key in ["q", "C-c"] {
        let arguments = ["top", &queue, "--interval", "0.1", "--timeout", "3600"];
        let terminal = Terminal::run(&broker, &arguments, SIZE);
        shows(&terminal, &queue, 0);
        broker.signal("-STOP");
        terminal.wait_for_text("the broker has not answered for ");
        terminal.press(key);
        terminal.is_restored(0);
        broker.signal("-CONT");
    }
    // The output of lines ends as soon.
    let arguments = ["top", &queue, "--interval", "0.1", "--timeout", "3600", "--json"];
    let (child, mut output) = start(broker.command(&arguments));
    assert!(next_line(&mut output).contains(&queue));
    broker.signal("-STOP");
    interrupt(&child);
    let ran = finish(child);
    broker.signal("-CONT");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_of_a_broker_that_goes_away_says_so_and_recovers() {
    let mut broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "body"]);
    let terminal = top(&broker, &queue, &["--interval", "0.1"]);
    broker.kill();
    let lines = terminal.wait_for_text("the numbers are old: ");
    assert!(has_row(&lines, &queue, 1), "{lines:#?}");
    broker.hosted_again();
    terminal.wait_for_text("no queue");
    broker.ok(&["declare", "queue", &queue]);
    broker.ok(&["publish", "-q", &queue, "--count", "4", "body"]);
    let lines = shows(&terminal, &queue, 4);
    assert_eq!(lines[SIZE.1 - 1], "q ends", "{lines:#?}");
    terminal.press("q");
    terminal.is_restored(0);
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_follows_the_size_of_the_terminal() {
    let broker = TestBroker::hosted("amqp");
    let name = format!("{}{}", "a-long-name-".repeat(10), broker.name());
    let short = broker.queue(&[]);
    broker.ok(&["declare", "queue", &name]);
    broker.ok(&["publish", "-q", &name, "--count", "7", "body"]);
    let arguments = ["top", &name, &short, "--interval", "3600"];
    let terminal = Terminal::run(&broker, &arguments, SIZE);
    for (width, height) in [SIZE, (40, 24), (40, 6), (200, 50), (12, 10), (1, 1), SIZE] {
        terminal.resize(width, height);
        // The row of the long name fills the width, and the number is its last field or not there.
        let fits = |lines: &[String]| {
            let shown = lines.last().is_some_and(|last| last == "q ends" || width < 6);
            let widest = lines.iter().map(|line| line.width()).max();
            let row = lines.iter().find(|line| line.starts_with("a-l"));
            let is_cut = row.is_none_or(|line| line.contains('…') || width > 150);
            lines.len() == height
                && shown
                && widest <= Some(width)
                && is_cut
                && (width < 20 || row.is_some())
        };
        let lines = terminal.wait_for(&format!("{width} x {height}"), fits);
        if width >= 40 {
            let row = lines.iter().find(|line| line.starts_with("a-l")).unwrap();
            assert_eq!(row.split_whitespace().nth(1), Some("7"), "{lines:#?}");
            assert!(lines.iter().any(|line| line.ends_with("/s")), "{lines:#?}");
        }
    }
    terminal.press("q");
    terminal.is_restored(0);
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn top_shows_names_that_are_wide_or_control_the_terminal() {
    let broker = TestBroker::hosted("amqp");
    let names = [
        "待ち行列-待ち行列-待ち行列-待ち行列",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "cafe\u{301}",
        "plain",
    ];
    for (number, name) in names.iter().enumerate() {
        broker.ok(&["declare", "queue", name]);
        broker.ok(&["publish", "-q", name, "--count", &(11 + number).to_string(), "body"]);
    }
    let arguments = [&["top", "--interval", "3600"], &names[..]].concat();
    let terminal = Terminal::run(&broker, &arguments, (40, 24));
    let lines = terminal.wait_for_text("q ends");
    let end_of = |text: &str| {
        // Not the summary.
        let line = lines.iter().skip(1).find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("{text}: {lines:#?}"));
        line.split_once(text).unwrap().0.width() + text.len()
    };
    let ends = [" ready", " 11", " 12", " 13", " 14"].map(end_of);
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}: {lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("待ち行列-待")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("\\u{1b}[2J")), "{lines:#?}");
    terminal.press("q");
    terminal.is_restored(0);
}
