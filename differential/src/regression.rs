//! Minimal programs that once showed a difference, with what RabbitMQ showed.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::program::Program;
use crate::run::{Step, run};
use crate::side::Memory;

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// What it is about, as a sentence.
    pub name: String,
    /// The program.
    pub program: Program,
    /// What RabbitMQ showed, step by step.
    pub rabbitmq: Vec<Step>,
}

impl Regression {
    /// All that are kept.
    ///
    /// # Panics
    /// If the file is not as it should be.
    pub fn all() -> Vec<Regression> {
        match serde_json::from_str(include_str!("../regressions.json")) {
            Ok(regressions) => regressions,
            Err(error) => panic!("regressions.json is broken: {error}"),
        }
    }

    /// Adds it to those that are kept, in place of one of the same name.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(self) -> io::Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions.json");
        let mut all: Vec<Regression> = serde_json::from_str(&fs::read_to_string(&path)?)?;
        all.retain(|other| other.name != self.name);
        all.push(self);
        let mut text = String::from("[");
        for (index, regression) in all.iter().enumerate() {
            // A line for each operation and each observation, so that changes are easy to see.
            let lines = |values: Vec<String>| values.join(",\n    ");
            let operations = regression
                .program
                .operations
                .iter()
                .map(serde_json::to_string)
                .collect::<Result<_, _>>()?;
            let steps =
                regression.rabbitmq.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            text += if index == 0 { "\n" } else { ",\n" };
            text += &format!(
                "{{\n  \"name\": {},\n  \"program\": [\n    {}\n  ],\n  \"rabbitmq\": [\n    {}\n  ]\n}}",
                serde_json::to_string(&regression.name)?,
                lines(operations),
                lines(steps)
            );
        }
        fs::write(path, text + "\n]\n")
    }

    /// The first step at which the memory broker differs from what RabbitMQ showed, and what it shows there.
    pub fn differs_on_memory(&self) -> Option<(usize, Step)> {
        let steps = run(&self.program, &Memory::new(), "regression.", None).steps;
        (0..steps.len().max(self.rabbitmq.len()))
            .find(|step| steps.get(*step) != self.rabbitmq.get(*step))
            .map(|step| (step, steps.get(step).cloned().unwrap_or_default()))
    }
}
