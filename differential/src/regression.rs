//! Minimal programs that once showed a difference, with what RabbitMQ showed.

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

    /// The first step at which the memory broker differs from what RabbitMQ showed, and what it shows there.
    pub fn differs_on_memory(&self) -> Option<(usize, Step)> {
        let steps = run(&self.program, &Memory::new(), "regression.", None).steps;
        (0..steps.len().max(self.rabbitmq.len()))
            .find(|step| steps.get(*step) != self.rabbitmq.get(*step))
            .map(|step| (step, steps.get(step).cloned().unwrap_or_default()))
    }
}
