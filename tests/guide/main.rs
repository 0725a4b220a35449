//! Tests that the guide in `docs/guide` agrees with the code, and its pages with each other.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../carrot-backend-activemq/tests/activemq/features.rs"]
mod activemq_features;
#[path = "../backend_features.rs"]
mod backend_features;
mod backends;
mod defaults;
mod links;

use std::path::{Path, PathBuf};

/// Returns the path of a file of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
