//! Parses any text as a URL. A URL is accepted or refused, and parsing the displayed options
//! returns the same options without the password.
#![no_main]

use carrot_core::{ConnectionOptions, Credentials, Error, Scheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for url in [text.to_string(), format!("amqp://{text}"), format!("amqps://h?{text}"), format!("memory://{text}")] {
        match url.parse::<ConnectionOptions>() {
            Ok(options) => check_round_trip(&options),
            Err(error) => assert!(matches!(error, Error::Config { .. }), "{error:?}"),
        }
    }
    if !text.contains("HUNTER") && !text.contains("SECRET") {
        check_password_is_hidden(&format!("amqp://user:HUNTER{text}SECRET@localhost/vhost"));
    }
});

fn check_round_trip(options: &ConnectionOptions) {
    options.validate().expect("the options are valid");
    let shown = options.to_string();
    let mut again: ConnectionOptions = shown.parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
    if let (Scheme::Amqp | Scheme::Amqps, Credentials::Plain { password, .. }) = (options.scheme, &options.credentials)
        && let Credentials::Plain { password: shown, .. } = &mut again.credentials
    {
        assert_eq!(shown.reveal(), "***");
        *shown = password.clone();
    }
    assert_eq!(&again, options, "{shown}");
}

fn check_password_is_hidden(url: &str) {
    let shown = match url.parse::<ConnectionOptions>() {
        Ok(options) => format!("{options} {options:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains("HUNTER") && !shown.contains("SECRET"), "{url}: {shown}");
}
