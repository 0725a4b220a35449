#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::*;
use crate::config::secret::{Pem, Secret};

const PASSWORD: &str = "hunter2";

fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Returns the field that the error names.
fn wrong_field<T: DeserializeOwned>(json: &str) -> String {
    let error = serde_json::from_str::<T>(json).err().unwrap_or_else(|| panic!("{json}"));
    let text = error.to_string();
    let named = text.strip_prefix("invalid configuration: ").unwrap_or_else(|| panic!("{text}"));
    named.split(": ").next().unwrap().to_string()
}

fn written(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn options_without_fields_are_the_defaults() {
    assert_eq!(read::<ConnectionOptions>("{}"), ConnectionOptions::new());
    assert_eq!(read::<ConnectionOptions>(r#"{"scheme": "memory"}"#), ConnectionOptions::memory());
    assert_eq!(read::<ConnectionOptions>(r#"{"vhost": null}"#), ConnectionOptions::new());
    assert_eq!(toml::from_str::<ConnectionOptions>("").unwrap(), ConnectionOptions::new());
}

#[test]
fn options_with_every_field_equal_those_of_the_setters() {
    let toml = r#"
        host = "mq.example:5673"
        vhost = "/orders"
        heartbeat = 20
        connect_timeout = 1.5
        call_timeout = 0.25
        channel_max = 7
        frame_max = 4096
        max_message_size = 1000
        name = "shop"
        credentials = { user = "shop", password = "p@ss/%41#" }

        [tls]
        authorities = ["/etc/ca.pem", { text = "-----BEGIN CERTIFICATE-----" }]
        identity = { certificates = "c.pem", key = "k.pem" }
        server_name = "mq"
    "#;
    let tls = TlsOptions::new()
        .authority(Pem::file("/etc/ca.pem"))
        .authority(Pem::text("-----BEGIN CERTIFICATE-----"))
        .identity(Pem::file("c.pem"), Pem::file("k.pem"))
        .server_name("mq");
    let built = ConnectionOptions::new()
        .host("mq.example")
        .port(5673)
        .vhost("/orders")
        .heartbeat(Duration::from_secs(20))
        .connect_timeout(Duration::from_millis(1500))
        .call_timeout(Duration::from_millis(250))
        .channel_max(7)
        .frame_max(4096)
        .max_message_size(1000)
        .name("shop")
        .credentials("shop", "p@ss/%41#")
        .tls(tls);
    assert_eq!(toml::from_str::<ConnectionOptions>(toml).unwrap(), built);
}

#[test]
fn options_in_a_string_are_a_url() {
    #[derive(serde::Deserialize)]
    struct Program {
        broker: ConnectionOptions,
    }
    let program: Program = toml::from_str(r#"broker = "amqp://u:p@h/v?heartbeat=5""#).unwrap();
    assert_eq!(program.broker, "amqp://u:p@h/v?heartbeat=5".parse().unwrap());
    for url in ["amqp://h:port", "amqp://h?heartbeat=1.5", "http://h", "amqp://u:hunter2/x@h"] {
        let error = serde_json::from_value::<ConnectionOptions>(url.into()).unwrap_err();
        assert_eq!(error.to_string(), ConnectionOptions::try_from(url).unwrap_err().to_string());
    }
}

#[test]
fn options_without_a_secret_survive_json_and_toml() {
    let identity = TlsOptions::new().identity(Pem::file("c.pem"), Pem::file("k.pem"));
    for options in [
        ConnectionOptions::new(),
        ConnectionOptions::memory(),
        ConnectionOptions::memory_named("a:b/c"),
        ConnectionOptions::memory().imitate(RabbitMqRelease::V3_10),
        ConnectionOptions::new().tls(TlsOptions::new()),
        ConnectionOptions::try_from("zmqs://h?cacertfile=ca.pem").unwrap(),
        ConnectionOptions::new()
            .tls(identity.authority(Pem::file("ca.pem")).server_name("mq"))
            .external_credentials(),
        ConnectionOptions::new()
            .hosts([("a", 1), ("::1", 2), ("fe80::1%eth0", 3)])
            .add_host("::1")
            .add_host("b")
            .vhost("")
            .heartbeat(Duration::ZERO)
            .connect_timeout(Duration::from_nanos(1))
            .call_timeout(Duration::new(86_399, 999_999_999))
            .channel_max(u16::MAX)
            .frame_max(u32::MAX)
            .max_message_size(i64::MAX as u64)
            .name("shop"),
    ] {
        options.validate().unwrap();
        assert_eq!(read::<ConnectionOptions>(&written(&options)), options);
        let toml = toml::Value::try_from(&options).unwrap().to_string();
        assert_eq!(toml::from_str::<ConnectionOptions>(&toml).unwrap(), options);
    }
}

#[test]
fn serialized_options_contain_no_password_and_are_refused_until_they_do() {
    let options = ConnectionOptions::new().credentials("shop", PASSWORD);
    let json = written(&options);
    assert!(json.contains("shop") && !json.contains(PASSWORD), "{json}");
    assert!(!format!("{options} {options:?}").contains(PASSWORD));
    assert_eq!(wrong_field::<ConnectionOptions>(&json), "password");
    let mut completed: serde_json::Value = read(&json);
    completed["credentials"]["password"] = PASSWORD.into();
    assert_eq!(serde_json::from_value::<ConnectionOptions>(completed).unwrap(), options);
    assert_eq!(written(&Credentials::External), r#""external""#);
    assert_eq!(read::<Credentials>(r#""external""#), Credentials::External);
}

#[test]
fn pem_text_is_read_and_not_written() {
    let text = Pem::text("-----BEGIN hunter2");
    assert_eq!(read::<Pem>(r#"{"text": "-----BEGIN hunter2"}"#), text);
    assert_eq!(read::<Pem>(r#""k.pem""#), Pem::file("k.pem"));
    assert_eq!(written(&Pem::file("k.pem")), r#""k.pem""#);
    let options = ConnectionOptions::new().tls(TlsOptions::new().authority(text));
    let error = serde_json::to_string(&options).unwrap_err().to_string();
    assert!(error.contains("PEM text") && !error.contains(PASSWORD), "{error}");
    assert_eq!(wrong_field::<Pem>(r#""-----BEGIN hunter2""#), "PEM");
}

#[test]
fn addresses_are_read_from_strings_and_tables() {
    for (json, host) in [
        (r#""mq""#, Host::new("mq")),
        (r#""mq:5673""#, Host::new("mq").with_port(5673)),
        (r#""::1""#, Host::new("::1")),
        (r#""[::1]""#, Host::new("::1")),
        (r#""[::1]:5673""#, Host::new("::1").with_port(5673)),
        (r#""[fe80::1%eth0]:1""#, Host::new("fe80::1%eth0").with_port(1)),
        (r#"{"name": "mq"}"#, Host::new("mq")),
        (r#"{"name": "a:b", "port": 1}"#, Host::new("a:b").with_port(1)),
    ] {
        assert_eq!(read::<Host>(json), host);
        assert_eq!(read::<Host>(&written(&host)), host);
    }
    assert_eq!(written(&Host::new("::1").with_port(1)), r#""[::1]:1""#);
    assert_eq!(written(&Host::new("a:b")), r#"{"name":"a:b"}"#);
    for (json, field) in [
        (r#""""#, "host"),
        (r#"":1""#, "host"),
        (r#""mq:0""#, "port"),
        (r#""mq:amqp""#, "port"),
        (r#""[::1""#, "host"),
        (r#"{"port": 1}"#, "name"),
        (r#"{"name": "mq", "port": 65536}"#, "port"),
        (r#"{"name": "mq", "prot": 1}"#, "prot"),
        ("1", "host"),
    ] {
        assert_eq!(wrong_field::<Host>(json), field, "{json}");
    }
}

#[test]
fn an_error_names_the_wrong_field() {
    for (fields, field) in [
        (r#""heartbeet": 1"#, "heartbeet"),
        (r#""heartbeat": 1, "heartbeat": 2"#, "heartbeat"),
        (r#""heartbeat": "10s""#, "heartbeat"),
        (r#""heartbeat": 1.5"#, "heartbeat"),
        (r#""heartbeat": -1"#, "heartbeat"),
        (r#""heartbeat": 65536"#, "heartbeat"),
        (r#""heartbeat": true"#, "heartbeat"),
        (r#""connect_timeout": 0"#, "connect_timeout"),
        (r#""connect_timeout": -0.5"#, "connect_timeout"),
        (r#""call_timeout": 18446744073709551615"#, "call_timeout"),
        (r#""call_timeout": 18446744073709551616"#, "call_timeout"),
        (r#""call_timeout": 1e300"#, "call_timeout"),
        (r#""call_timeout": -9223372036854775808"#, "call_timeout"),
        (r#""channel_max": 65536"#, "channel_max"),
        (r#""frame_max": 4095"#, "frame_max"),
        (r#""max_message_size": 0.5"#, "max_message_size"),
        (r#""vhost": 1"#, "vhost"),
        (r#""name": ["a"]"#, "name"),
        (r#""port": 0"#, "port"),
        (r#""port": "5672""#, "port"),
        (r#""host": "a:1", "port": 1"#, "port"),
        (r#""host": "a", "hosts": ["b"]"#, "hosts"),
        (r#""hosts": "a""#, "hosts"),
        (r#""hosts": []"#, "host"),
        (r#""scheme": "http""#, "scheme"),
        (r#""scheme": "amqp", "tls": {}"#, "tls"),
        (r#""scheme": "memory", "tls": {}"#, "tls"),
        (r#""scheme": "zmq", "tls": {}"#, "tls"),
        (r#""scheme": "zmqs", "vhost": "v""#, "vhost"),
        (r#""scheme": "memory", "vhost": "v""#, "vhost"),
        (r#""scheme": "memory", "imitate": 4.3"#, "imitate"),
        (r#""imitate": "4.3""#, "imitate"),
        (r#""credentials": "external""#, "credentials"),
        (r#""credentials": "plain""#, "credentials"),
        (r#""credentials": {"password": "p"}"#, "user"),
        (r#""credentials": {"user": "u"}"#, "password"),
        (r#""credentials": {"user": "u", "password": null}"#, "password"),
        (r#""credentials": {"user": "u", "pasword": "p"}"#, "pasword"),
        (r#""tls": {"verify": false}"#, "verify"),
        (r#""tls": {"identity": ["c", "k"]}"#, "identity"),
        (r#""tls": {"identity": {"certificates": "c"}}"#, "key"),
        (r#""tls": {"authorities": "ca.pem"}"#, "authorities"),
    ] {
        assert_eq!(wrong_field::<ConnectionOptions>(&format!("{{{fields}}}")), field, "{fields}");
    }
    let error = toml::from_str::<ConnectionOptions>("call_timeout = nan").unwrap_err();
    assert!(error.to_string().contains("call_timeout: must be a number of seconds"), "{error}");
    assert_eq!(wrong_field::<ConnectionOptions>("[]"), "the connection options");
    assert_eq!(wrong_field::<Secret>("12345"), "secret");
}

/// The places of a table that hold a value, each with the rest of the table around it.
const PLACES: [&str; 33] = [
    "?",
    "[?]",
    r#"{"?": 1}"#,
    r#"{"scheme": ?}"#,
    r#"{"host": ?, "port": 0}"#,
    r#"{"host": {"name": ?}, "port": 0}"#,
    r#"{"host": {"name": "h", "port": ?}}"#,
    r#"{"host": [?]}"#,
    r#"{"hosts": ?}"#,
    r#"{"hosts": [?, "a/b"]}"#,
    r#"{"port": ?}"#,
    r#"{"password": ?}"#,
    r#"{"credentials": ?}"#,
    r#"{"credentials": [?]}"#,
    r#"{"credentials": {"user": ?}}"#,
    r#"{"credentials": {"user": "u", "password": [?]}}"#,
    r#"{"credentials": {"user": "u", "password": {"?": 1}}}"#,
    r#"{"credentials": {"user": "u", "password": ?, "paswsord": ?}}"#,
    r#"{"credentials": {"user": "u", "password": ?}, "heartbeat": 1.5}"#,
    r#"{"vhost": ?, "port": 0}"#,
    r#"{"tls": ?}"#,
    r#"{"tls": {"identity": ?}}"#,
    r#"{"tls": {"identity": {"certificates": ?}}}"#,
    r#"{"tls": {"identity": {"certificates": "c", "key": {"text": ?, "file": ?}}}}"#,
    r#"{"tls": {"server_name": ?}, "port": 0}"#,
    r#"{"heartbeat": ?}"#,
    r#"{"connect_timeout": ?}"#,
    r#"{"call_timeout": ?}"#,
    r#"{"channel_max": ?}"#,
    r#"{"frame_max": ?}"#,
    r#"{"max_message_size": ?}"#,
    r#"{"name": ?, "port": 0}"#,
    r#"{"scheme": "memory", "imitate": ?}"#,
];

#[test]
fn no_error_contains_a_password_in_a_wrong_place() {
    let passwords = [
        format!("p/{PASSWORD}"),
        format!("h:{PASSWORD}"),
        format!("amqp://u:{PASSWORD}@h:x"),
        format!("amqp://u:{PASSWORD}/x@h"),
        format!("amqp://u:{PASSWORD}"),
        PASSWORD.repeat(100),
    ];
    for place in PLACES {
        for password in &passwords {
            let json = place.replace("\"?\"", "?").replace('?', &format!("{password:?}"));
            let error = serde_json::from_str::<ConnectionOptions>(&json).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(PASSWORD), "{json}: {error}");
        }
        if !place.contains("\"?\"") {
            let json = place.replace('?', "-987654321");
            let error = serde_json::from_str::<ConnectionOptions>(&json).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("987654321"), "{json}: {error}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn an_address_survives_json(name in "\\PC{0,20}", port in proptest::option::of(0..=u16::MAX)) {
        let host = Host { name, port };
        proptest::prop_assert_eq!(read::<Host>(&written(&host)), host);
    }

    #[test]
    fn any_json_is_read_or_refused(
        json in r#"[{\[]("(host|port|tls|credentials|user|hosts|heartbeat)"|[-:,{}\[\]0-9e.]|null){0,20}"#,
    ) {
        let _ = serde_json::from_str::<ConnectionOptions>(&json);
    }
}
