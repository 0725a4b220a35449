//! Minimal programs that once differed, with the observations on RabbitMQ.

use std::fs;
use std::io;
use std::path::Path;

use carrot_core::RabbitMqRelease;
use serde::{Deserialize, Serialize};

use crate::broker::{DefaultQueueType, MemoryBroker};
use crate::program::Program;
use crate::runner::{StepLog, run};

/// A program that once differed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// The behaviour, as a sentence.
    pub name: String,
    /// The release of RabbitMQ that was observed.
    #[serde(default = "first_release")]
    pub release: RabbitMqRelease,
    /// The type of queues without one, on the virtual host that was observed.
    #[serde(default)]
    pub default_type: DefaultQueueType,
    /// The program.
    pub program: Program,
    /// The observations on RabbitMQ, step by step.
    pub rabbitmq: Vec<StepLog>,
}

/// The release of the regressions that name none.
fn first_release() -> RabbitMqRelease {
    RabbitMqRelease::V3_10
}

impl Regression {
    /// Returns all regressions.
    ///
    /// # Panics
    /// If `regressions.json` is invalid.
    pub fn all() -> Vec<Regression> {
        match serde_json::from_str(include_str!("../regressions.json")) {
            Ok(regressions) => regressions,
            Err(error) => panic!("regressions.json is invalid: {error}"),
        }
    }

    /// Adds the regression to the file. Replaces a regression of the same name.
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
            // One line for each operation and each step, which keeps diffs small.
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
                "{{\n  \"name\": {},\n  \"release\": {},\n{}  \"program\": [\n    {}\n  ],\n  \"rabbitmq\": [\n    {}\n  ]\n}}",
                serde_json::to_string(&regression.name)?,
                serde_json::to_string(&regression.release)?,
                match regression.default_type {
                    DefaultQueueType::Classic => "",
                    DefaultQueueType::Quorum => "  \"default_type\": \"quorum\",\n",
                },
                lines(operations),
                lines(steps)
            );
        }
        fs::write(path, text + "\n]\n")
    }

    /// Returns the first step at which the memory broker differs from RabbitMQ, with the
    /// observations on the memory broker.
    pub fn differs_on_memory(&self) -> Option<(usize, StepLog)> {
        let broker = MemoryBroker::imitating(self.release, self.default_type);
        let steps = run(&self.program, &broker, "regression.", None).steps;
        (0..steps.len().max(self.rabbitmq.len()))
            .find(|step| steps.get(*step) != self.rabbitmq.get(*step))
            .map(|step| (step, steps.get(step).cloned().unwrap_or_default()))
    }
}
