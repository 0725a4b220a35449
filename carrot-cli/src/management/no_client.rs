//! Without the feature `management`.

use std::time::Duration;

use serde_json::Value;

use crate::exit::{CommandFailure, Result};
use crate::management::ManagementUrl;

/// A client that never exists.
#[derive(Debug)]
pub(crate) enum ManagementClient {}

impl ManagementClient {
    pub(crate) fn new(_: ManagementUrl, _: &str, _: Duration) -> Result<ManagementClient> {
        Err(CommandFailure::input("--management: carrot was built without its feature management"))
    }

    pub(crate) fn list(&self, _: &str, _: &[&str]) -> Result<Vec<Value>> {
        match *self {}
    }

    pub(crate) fn definitions(&self) -> Result<Value> {
        match *self {}
    }
}
