//! The progress of `carrot bench` and `move` in a terminal.

use super::tmux::Terminal;
use crate::support::TestBroker;

const SIZE: (usize, usize) = (80, 24);

/// Asserts that nothing of the progress is left.
fn is_cleared(terminal: &Terminal, words: &[&str]) {
    let lines = terminal.lines();
    let has_word = |line: &String| words.iter().any(|word| line.contains(word));
    assert!(!lines.iter().any(has_word), "{lines:#?}");
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn bench_shows_its_rates() {
    let broker = TestBroker::hosted("amqp");
    let arguments = ["bench", "--time", "2", "--rate", "300"];
    let terminal = Terminal::run(&broker, &arguments, SIZE);
    let lines = terminal.wait_for_text("published/s");
    assert!(lines[1].starts_with("carrot: the queue is carrot-bench-"), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("/s")).count(), 1, "{lines:#?}");
    terminal.wait_for_text("p99");
    terminal.is_restored(0);
    is_cleared(&terminal, &["/s"]);
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn bench_ended_by_ctrl_c_reports_below_its_progress() {
    let broker = TestBroker::hosted("amqp");
    let terminal = Terminal::run(&broker, &["bench", "--time", "3600", "--rate", "300"], SIZE);
    terminal.wait_for_text("published/s");
    terminal.press("C-c");
    let lines = terminal.wait_for_text("carrot: interrupted: ");
    // The terminal writes ^C below the progress, which is cleared instead of the progress.
    let at = lines.iter().position(|line| line.contains("published/s"));
    let below = at.and_then(|at| lines.get(at + 1)).map(|line| line.trim());
    assert_eq!(below, Some("messages  per second"), "{lines:#?}");
    terminal.is_restored(130);
}

#[test]
#[ignore = "needs tmux: run ./scripts/test"]
fn move_shows_how_far_it_is() {
    let broker = TestBroker::hosted("amqp");
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    broker.ok(&["publish", "-q", &from, "--count", "5000", "body"]);
    for size in [SIZE, (40, 12)] {
        let terminal = Terminal::run(&broker, &["move", &from, "--to", &to, "-n", "2500"], size);
        let lines = terminal.wait_for_text("/2500");
        let bars = lines.iter().filter(|line| line.contains("/2500")).count();
        assert_eq!(bars, 1, "{lines:#?}");
        terminal.is_restored(0);
        is_cleared(&terminal, &["/2500", "█", "░"]);
    }
    assert_eq!((broker.ready(&from), broker.ready(&to)), (0, 5000));
}
