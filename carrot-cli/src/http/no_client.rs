//! Without the feature `management`.

use std::path::PathBuf;
use std::time::Duration;

use carrot::config::Secret;

use crate::exit::{CommandFailure, Result};
use crate::http::HttpAnswer;

/// A client that never exists.
#[derive(Debug)]
pub(crate) enum HttpClient {}

impl HttpClient {
    pub(crate) fn new(
        _: &str,
        _: Secret,
        _: &'static str,
        _: Duration,
        _: &[PathBuf],
    ) -> Result<HttpClient> {
        Err(CommandFailure::input(
            "--management and --control: carrot was built without its feature management",
        ))
    }

    pub(crate) fn get(&self, _: &str) -> Result<HttpAnswer> {
        match *self {}
    }

    pub(crate) fn post(&self, _: &str, _: &str) -> Result<HttpAnswer> {
        match *self {}
    }

    pub(crate) fn unexpected(&self, _: &str) -> CommandFailure {
        match *self {}
    }

    pub(crate) fn base(&self) -> &str {
        match *self {}
    }
}
