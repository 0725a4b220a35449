//! Reads options from any variables. The variables are accepted or refused, and no text contains
//! the password.
#![no_main]

use std::env::VarError;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use carrot_core::{ConnectionOptions, Error};
use libfuzzer_sys::fuzz_target;

const VARIABLES: [&str; 7] = ["CARROT_URL", "AMQP_SERVER", "AMQP_HOST", "AMQP_PORT", "AMQP_USER", "AMQP_PASSWORD", "AMQP_VHOST"];

/// A mark that only the password contains.
const MARK: &str = "HUNTER";

fuzz_target!(|data: &[u8]| {
    if data.windows(MARK.len()).any(|part| part.eq_ignore_ascii_case(MARK.as_bytes())) {
        return;
    }
    let values: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let read = ConnectionOptions::from_variables(|name| {
        let index = VARIABLES.iter().position(|variable| *variable == name).expect("only these variables are read");
        let mut value = values.get(index).ok_or(VarError::NotPresent)?.to_vec();
        if name == "AMQP_PASSWORD" {
            value.splice(0..0, MARK.bytes());
        }
        OsString::from_vec(value).into_string().map_err(VarError::NotUnicode)
    });
    match read {
        Ok(options) => {
            options.validate().expect("the options are valid");
            assert!(!format!("{options} {options:?}").contains(MARK));
        }
        Err(error) => {
            assert!(matches!(error, Error::Config { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains(MARK), "{error}");
        }
    }
});
