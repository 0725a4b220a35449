//! Programs of raw frames, with the frames of RabbitMQ: one of each kind of malformed frames, and
//! programs that once differed.

use std::fs;
use std::io;
use std::path::Path;

use carrot_core::RabbitMqRelease;
use serde::{Deserialize, Serialize};

use crate::wire::compare::{WireResult, compared, serve};
use crate::wire::observed::Stream;
use crate::wire::program::WireProgram;
use crate::wire::run::WireLog;

/// A program with the frames of RabbitMQ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireRegression {
    /// The behaviour.
    pub name: String,
    /// The release of RabbitMQ.
    pub release: RabbitMqRelease,
    /// The program.
    pub program: WireProgram,
    /// The frames of RabbitMQ, by their streams.
    pub rabbitmq: Vec<(Stream, Vec<String>)>,
}

impl WireRegression {
    /// Returns all regressions.
    ///
    /// # Panics
    /// If `wire-regressions.json` is invalid.
    pub fn all() -> Vec<WireRegression> {
        match serde_json::from_str(include_str!("../../wire-regressions.json")) {
            Ok(regressions) => regressions,
            Err(error) => panic!("wire-regressions.json is invalid: {error}"),
        }
    }

    /// Compares the frames of a new server with those of RabbitMQ.
    ///
    /// # Errors
    /// The server cannot be started, or does not answer.
    pub fn compare(&self) -> io::Result<WireResult> {
        let server = serve(&self.program, self.release, "/")?;
        let rabbitmq = WireLog {
            frames: self.rabbitmq.iter().cloned().collect(),
            counts: server.counts.clone(),
            ..WireLog::default()
        };
        Ok(compared(&self.program, &server, &rabbitmq))
    }

    /// Adds regressions to the file. Replaces those of the same name and release.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn keep(new: Vec<WireRegression>) -> io::Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire-regressions.json");
        let mut all: Vec<WireRegression> = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let id = |regression: &WireRegression| (regression.name.clone(), regression.release);
        all.retain(|old| new.iter().all(|new| id(new) != id(old)));
        all.extend(new);
        let lines: Vec<String> = all.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")))
    }
}
