//! Files that hold a password or a token.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::exit::{CommandFailure, Result};

/// The most bytes of a file that are read.
const MOST: u64 = 1 << 20;

/// Reads the first line of a file that an argument names.
pub(crate) fn first_line(argument: &str, path: &Path) -> Result<String> {
    let failed =
        |reason: &str| CommandFailure::input(format!("{argument} {}: {reason}", path.display()));
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_string(&mut text))
        .map_err(|error| failed(&error.to_string()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.into()),
        _ => Err(failed("the first line is empty")),
    }
}
