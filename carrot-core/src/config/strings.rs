//! Limits of strings in the options of a connection.

use crate::config::secret::Secret;
use crate::error::{Error, Result};

const LONGEST_STRING: usize = 255;
/// Tokens of OAuth 2 have some kilobytes. A secret of this length fits into the first frame.
const LONGEST_SECRET: usize = 65_536;

/// Checks a user name and a password.
pub(super) fn validate_plain(user: &str, password: &Secret) -> Result<()> {
    string("user", user)?;
    bounded_string("password", password.reveal(), LONGEST_SECRET)
}

pub(super) fn string(option: &'static str, value: &str) -> Result<()> {
    bounded_string(option, value, LONGEST_STRING)
}

fn bounded_string(option: &'static str, value: &str, longest: usize) -> Result<()> {
    if value.len() > longest {
        return Err(Error::config(
            option,
            format!("has {} bytes; at most {longest} are allowed", value.len()),
        ));
    }
    if value.contains('\0') {
        return Err(Error::config(option, "holds a NUL character"));
    }
    Ok(())
}
