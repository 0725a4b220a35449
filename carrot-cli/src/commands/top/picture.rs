//! The lines that `carrot top` shows on a terminal.

use serde_json::Value;

use crate::commands::top::columns::{GAP, columns, cut, join, pad, width_of};
use crate::commands::top::plot::plot;
use crate::commands::top::sample::Sample;
use crate::escaping;
use crate::printing::counted;

/// The rows of the plot.
const PLOT: usize = 4;
/// The rows of the smallest terminal that has a plot.
const WITH_PLOT: usize = 12;
/// The columns that the names get at least, before a column of numbers is left out.
const NAMES: usize = 16;
/// The columns that the virtual hosts get at most.
const MOST_OF_VHOST: usize = 16;
/// The columns of numbers that a narrow terminal leaves out, in this order.
const LEFT_OUT: [&str; 5] =
    ["consumers", "unacknowledged", "deliver_rate", "publish_rate", "change_rate"];

/// Returns the lines for a screen of this size.
pub(super) fn picture(
    sample: &Sample,
    totals: &[u64],
    problem: Option<&str>,
    width: usize,
    height: usize,
) -> Vec<String> {
    let mut lines = vec![join(&sample.summary(), width), String::new()];
    if height >= WITH_PLOT {
        lines.extend(labelled_plot(totals, width));
        lines.push(String::new());
    }
    let last = match problem {
        Some(problem) => format!("the numbers are old: {}", escaping::text(problem)),
        None => "q ends".into(),
    };
    // The header of the table, and the last line.
    let room = height.saturating_sub(lines.len() + 2);
    let hidden = sample.queues.len().saturating_sub(room) as u64;
    let last = match hidden {
        0 => last,
        _ => format!("{}   {last}", counted(hidden, "more queue")),
    };
    lines.extend(table(sample, room, width));
    lines.resize(height.saturating_sub(1), String::new());
    lines.push(last);
    lines.iter().map(|line| cut(line, width)).collect()
}

/// Returns the plot of all messages, with its scale at the left.
fn labelled_plot(totals: &[u64], width: usize) -> Vec<String> {
    let most = totals.iter().copied().max().unwrap_or(0).to_string();
    let label = most.len().max("messages".len());
    let rows = plot(totals, width.saturating_sub(label + 1), PLOT);
    let labelled = rows.iter().enumerate().map(|(row, blocks)| {
        let label_of_row = match row {
            0 => &*most,
            1 => "messages",
            _ if row == PLOT - 1 => "0",
            _ => "",
        };
        format!("{label_of_row:>label$} {blocks}")
    });
    labelled.collect()
}

/// Returns the header and the first rows, with the virtual hosts if all are shown.
fn table(sample: &Sample, rows: usize, width: usize) -> Vec<String> {
    let mut names = sample.names(false);
    let mut entries = sample.entries(false);
    entries.truncate(rows);
    if names.first() != Some(&"vhost") {
        return numbers(names, entries, width);
    }
    names.remove(0);
    let of_entries = entries.iter_mut().map(|entry| cell(&entry.remove(0)));
    let vhosts: Vec<_> = std::iter::once("vhost".into()).chain(of_entries).collect();
    let widest = vhosts.iter().map(|vhost| width_of(vhost)).max().unwrap_or(0);
    let room = widest.min(MOST_OF_VHOST).min(width / 4);
    let rows = numbers(names, entries, width.saturating_sub(room + GAP));
    let lines = vhosts.iter().zip(rows).map(|(vhost, row)| {
        let vhost = pad(&cut(vhost, room), room + GAP, false);
        vhost + &row
    });
    lines.collect()
}

/// Returns the header and the rows, without the numbers that have no room.
fn numbers(
    mut names: Vec<&'static str>,
    mut entries: Vec<Vec<Value>>,
    width: usize,
) -> Vec<String> {
    for left_out in [None].into_iter().chain(LEFT_OUT.map(Some)) {
        if let Some(at) = names.iter().position(|name| Some(*name) == left_out) {
            names.remove(at);
            entries.iter_mut().for_each(|entry| drop(entry.remove(at)));
        }
        let headings = names.iter().map(|name| heading(name).to_string()).collect();
        let cells = entries.iter().map(|entry| entry.iter().map(cell).collect());
        let cells: Vec<Vec<String>> = std::iter::once(headings).chain(cells).collect();
        let is_last = left_out == LEFT_OUT.last().copied();
        if let Some(lines) = columns(&cells, if is_last { 1 } else { NAMES }, width) {
            return lines;
        }
    }
    Vec::new()
}

fn heading(name: &str) -> &str {
    match name {
        "unacknowledged" => "unacked",
        "publish_rate" => "publish/s",
        "deliver_rate" => "deliver/s",
        "change_rate" => "change/s",
        other => other,
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => escaping::text(text),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::queue_listing::ListedQueue;

    #[test]
    fn picture_fits_every_terminal() {
        let queue = |number: u64| ListedQueue {
            name: format!("queue-{number}\u{1b}[2J 待ち行列 e\u{301}"),
            ready: Some(number),
            ..ListedQueue::default()
        };
        let sample = Sample::of((0..50).map(queue).collect(), true, Instant::now(), None);
        for (width, height) in [(1, 1), (20, 5), (40, 12), (80, 24), (200, 100)] {
            for problem in [None, Some("gone \u{1b}[2J")] {
                let lines = picture(&sample, &[1, 2, 3], problem, width, height);
                assert!(lines.len() <= height, "{width} {height}: {lines:#?}");
                assert!(lines.iter().all(|line| width_of(line) <= width), "{lines:#?}");
                assert!(!lines.iter().any(|line| line.contains('\u{1b}')), "{lines:#?}");
            }
        }
        let lines = picture(&sample, &[1], None, 80, 24);
        assert_eq!(lines.last().map(String::as_str), Some("35 more queues   q ends"));
        assert!(lines.iter().any(|line| line.contains("queue-49")), "{lines:#?}");
    }

    #[test]
    fn picture_of_all_virtual_hosts_names_them() {
        let of = |vhost: &str, ready| ListedQueue {
            name: "jobs".into(),
            vhost: Some(vhost.into()),
            ready: Some(ready),
            ..ListedQueue::default()
        };
        let queues = vec![of("a-long-virtual-host", 7), of("\u{1b}待", 8)];
        let sample = Sample::of(queues, true, Instant::now(), None);
        for width in [12, 24, 40, 80] {
            let lines = picture(&sample, &[15], None, width, 24);
            assert!(lines.iter().all(|line| width_of(line) <= width), "{width}: {lines:#?}");
        }
        let lines = picture(&sample, &[15], None, 80, 24);
        let start = |line: &String| {
            let (before, _) = line.split_once("jobs").or(line.split_once("queue  "))?;
            Some(width_of(before))
        };
        let ends: Vec<_> = lines.iter().filter_map(start).collect();
        assert_eq!(ends, [18, 18, 18], "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("a-long-virtual-…  jobs")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("\\u{1b}待")), "{lines:#?}");
    }

    #[test]
    fn narrow_picture_has_the_ready_messages() {
        let queue = ListedQueue { name: "jobs".into(), ready: Some(7), ..ListedQueue::default() };
        let sample = Sample::of(vec![queue], true, Instant::now(), None);
        let is_row = |line: &String| line.starts_with("jobs");
        let row = |width| picture(&sample, &[7], None, width, 24).into_iter().find(is_row);
        let words =
            |width| row(width).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(80), "jobs 7 - - - -");
        assert_eq!(words(40), "jobs 7 -");
        assert_eq!(words(24), "jobs 7");
        assert_eq!(words(12), "jobs 7");
    }
}
