//! Any text as a URL: it is read or refused, and what was read comes back from what is shown, but for the password.
#![no_main]

use carrot_core::{ConnectionOptions, Credentials, Error, Scheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for url in [text.to_string(), format!("amqp://{text}"), format!("amqps://h?{text}"), format!("memory://{text}")] {
        match url.parse::<ConnectionOptions>() {
            Ok(options) => comes_back(&options),
            Err(error) => assert!(matches!(error, Error::Config { .. }), "{error:?}"),
        }
    }
    if !text.contains("HUNTER") && !text.contains("SECRET") {
        hides_its_password(&format!("amqp://user:HUNTER{text}SECRET@localhost/vhost"));
    }
});

fn comes_back(options: &ConnectionOptions) {
    options.validate().expect("what was read is valid");
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

fn hides_its_password(url: &str) {
    let shown = match url.parse::<ConnectionOptions>() {
        Ok(options) => format!("{options} {options:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains("HUNTER") && !shown.contains("SECRET"), "{url}: {shown}");
}
