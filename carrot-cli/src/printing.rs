//! Listings: a table, or a line of JSON for each entry.

use std::fmt;
use std::io::Write;

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::escaping;
use crate::exit::{CommandFailure, Result};

/// Prints a line to the standard error output, escaped. A failure to print it fails nothing else.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::printing::write_note(format_args!($($text)*))
    };
}

/// See [`note`].
pub(crate) fn write_note(text: fmt::Arguments<'_>) {
    let text = escaping::text(&text.to_string());
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints a value as a line of JSON. What would control a terminal is escaped.
pub(crate) fn print_json(value: &Value) -> Result<()> {
    print_line(&escaping::json(&value.to_string()))
}

/// Prints entries, each with the same fields.
pub(crate) fn print_entries(json: bool, names: &[&str], entries: &[Vec<Value>]) -> Result<()> {
    if json {
        for entry in entries {
            let object = names.iter().map(|name| (*name).to_string()).zip(entry.iter().cloned());
            print_json(&Value::Object(object.collect()))?;
        }
        return Ok(());
    }
    print_line(&table_of(names, entries).to_string())
}

/// Returns a table of entries.
pub(crate) fn table_of(names: &[&str], entries: &[Vec<Value>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(names.iter().map(|name| name.replace('_', " ")));
    for entry in entries {
        table.add_row(entry.iter().map(|value| match value {
            Value::String(text) => escaping::text(text),
            Value::Null => "-".into(),
            other => escaping::json(&other.to_string()),
        }));
    }
    table
}

/// Returns a number with its noun, such as `1 message` or `2 messages`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Prints a line to the standard output, which the caller has escaped. Fails if nothing reads it
/// any more: the messages that the command has taken and not printed are requeued then.
pub(crate) fn print_line(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let printed = writeln!(output, "{line}").and_then(|()| output.flush());
    match printed {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(CommandFailure::other("nobody reads the output"))
        }
        printed => Ok(printed?),
    }
}
