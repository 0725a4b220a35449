#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::config::display::{escape, write_url};
use crate::config::rabbitmq_release::RabbitMqRelease;
use crate::config::tls::TlsOptions;

fn parse(url: &str) -> ConnectionOptions {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn wrong_option(url: &str) -> String {
    match url.parse::<ConnectionOptions>() {
        Err(Error::Config { option, .. }) => option.into_owned(),
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn examples_of_the_uri_specification_are_parsed() {
    let new = ConnectionOptions::new;
    assert_eq!(
        parse("amqp://user:pass@host:10000/vhost"),
        new().credentials("user", "pass").host("host").port(10000).vhost("vhost")
    );
    assert_eq!(
        parse("aMQps://user%61:%61pass@host:10000/v%2fhost"),
        new()
            .credentials("usera", "apass")
            .host("host")
            .port(10000)
            .vhost("v/host")
            .tls(TlsOptions::new())
    );
    assert_eq!(parse("amqp://"), new());
    assert_eq!(parse("amqp://:@/"), new().credentials("", ""));
    assert_eq!(parse("amqp://user:@"), new().credentials("user", ""));
    assert_eq!(parse("amqp://host"), new().host("host"));
    assert_eq!(parse("amqp://:10000"), new().port(10000));
    assert_eq!(parse("amqp:///vhost"), new().vhost("vhost"));
    assert_eq!(parse("amqp://host/"), new().host("host"), "a single slash is the default vhost");
    assert_eq!(parse("amqp://host/%2f"), new().host("host").vhost("/"));
    assert_eq!(parse("amqp://[::1]"), new().host("::1"));
    assert_eq!(parse("amqp://[fe80::1%25eth0]:5673/"), new().host("fe80::1%eth0").port(5673));
}

#[test]
fn several_hosts_are_parsed() {
    let options = parse("amqps://u:p,q@a:1,b,[::1]:3/v");
    assert_eq!(options.addresses().collect::<Vec<_>>(), [("a", 1), ("b", 5671), ("::1", 3)]);
    assert_eq!(options.credentials, Credentials::plain("u", "p,q"));
    assert_eq!(options.vhost, "v");
    assert_eq!(wrong_option("amqp://a,,b"), "host");
    assert_eq!(wrong_option("amqp://a,"), "host");
}

#[test]
fn a_memory_url_has_only_a_name() {
    assert_eq!(parse("memory://"), ConnectionOptions::memory());
    assert_eq!(parse("memory://shop%20test/"), ConnectionOptions::memory_named("shop test"));
    assert_eq!(parse("memory://a?call_timeout=5").call_timeout, Duration::from_millis(5));
    assert_eq!(parse("memory://a?imitate=3.10").imitate, Some(RabbitMqRelease::V3_10));
    assert_eq!(wrong_option("memory://a?imitate=3.1"), "imitate");
    assert_eq!(wrong_option("amqp://a?imitate=4.3"), "imitate");
    assert_eq!(wrong_option("memory://guest:guest@a"), "user");
    assert_eq!(wrong_option("memory://a:5672"), "port");
    assert_eq!(wrong_option("memory://a/b"), "vhost");
    assert_eq!(wrong_option("memory://a?cacertfile=ca.pem"), "cacertfile");
    assert_eq!(wrong_option("memory://a?auth_mechanism=external"), "user");
}

#[test]
fn every_option_is_parsed() {
    let options = parse(
        "amqps://mq/?heartbeat=0&connection_timeout=1500&call_timeout=2500&channel_max=7\
         &frame_max=4096&max_message_size=1000&name=shop%20one&verify=verify_peer\
         &cacertfile=%2Fetc%2Fca.pem&cacertfile=other.pem&certfile=c.pem&keyfile=k.pem\
         &server_name_indication=mq.example&auth_mechanism=EXTERNAL",
    );
    let tls = TlsOptions::new()
        .authority(Pem::file("/etc/ca.pem"))
        .authority(Pem::file("other.pem"))
        .identity(Pem::file("c.pem"), Pem::file("k.pem"))
        .server_name("mq.example");
    let expected = ConnectionOptions::new()
        .host("mq")
        .tls(tls)
        .external_credentials()
        .heartbeat(Duration::ZERO)
        .connect_timeout(Duration::from_millis(1500))
        .call_timeout(Duration::from_millis(2500))
        .channel_max(7)
        .frame_max(4096)
        .max_message_size(1000)
        .name("shop one");
    assert_eq!(options, expected);
    assert_eq!(
        parse("amqp://u:p@mq?auth_mechanism=plain").credentials,
        Credentials::plain("u", "p")
    );
}

#[test]
fn an_error_names_the_wrong_option() {
    for (url, option) in [
        ("", "URL"),
        ("localhost", "URL"),
        ("localhost:5672", "URL"),
        ("http://localhost", "URL scheme"),
        ("://localhost", "URL scheme"),
        ("amqp://h:port", "port"),
        ("amqp://h:0", "port"),
        ("amqp://h:65536", "port"),
        ("amqp://h:+1", "port"),
        ("amqp://h:", "port"),
        ("amqp://::1", "host"),
        ("amqp://[::1", "host"),
        ("amqp://[::%25]", "host"),
        ("amqp://[::1]x", "host"),
        ("amqp://[nonsense]", "host"),
        ("amqp://foo[::1]", "host"),
        ("amqp://a b", "host"),
        ("amqp://foo%1", "host"),
        ("amqp://foo%1x", "host"),
        ("amqp://h/%ff", "vhost"),
        ("amqp://h//", "vhost"),
        ("amqp://h/a/b", "vhost"),
        ("amqp://u@h", "password"),
        ("amqp://u:%zz@h", "password"),
        ("amqp://%zz:p@h", "user"),
        ("amqp://h?colour=red", "colour"),
        ("amqp://h?heartbeat", "heartbeat"),
        ("amqp://h?heartbeat=", "heartbeat"),
        ("amqp://h?heartbeat=1.5", "heartbeat"),
        ("amqp://h?heartbeat=-1", "heartbeat"),
        ("amqp://h?heartbeat=+1", "heartbeat"),
        ("amqp://h?heartbeat=65536", "heartbeat"),
        ("amqp://h?heartbeat=1&heartbeat=2", "heartbeat"),
        ("amqp://h?frame_max=4095", "frame_max"),
        ("amqp://h?channel_max=65536", "channel_max"),
        ("amqp://h?connection_timeout=0", "connection_timeout"),
        ("amqp://h?call_timeout=18446744073709551615", "call_timeout"),
        ("amqp://h?auth_mechanism=gssapi", "auth_mechanism"),
        ("amqp://h?auth_mechanism=external", "auth_mechanism"),
        ("amqps://u:p@h?auth_mechanism=external&certfile=c&keyfile=k", "auth_mechanism"),
        ("amqps://h?verify=verify_none", "verify"),
        ("amqps://h?certfile=c", "keyfile"),
        ("amqps://h?keyfile=c", "certfile"),
    ] {
        assert_eq!(wrong_option(url), option, "{url}");
    }
    for option in TLS_OPTIONS {
        assert_eq!(wrong_option(&format!("amqp://h?{option}=verify_peer")), option);
        assert_eq!(wrong_option(&format!("zmq://h?{option}=verify_peer")), option);
        assert_eq!(wrong_option(&format!("zmq+ipc:///h?{option}=verify_peer")), option);
    }
}

#[test]
fn path_with_tls_is_refused_with_a_reason_that_fits() {
    let words = "a socket of the file system has no TLS";
    let error = "zmq+ipc:///h?cacertfile=ca.pem".parse::<ConnectionOptions>().unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    let path: ConnectionOptions = "zmq+ipc:///run/carrot.sock".parse().unwrap();
    for tls in [TlsOptions::new(), TlsOptions::new().server_name("n")] {
        let error = path.clone().tls(tls).validate().unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut given = path;
    given.tls = TlsOptions::new().server_name("n");
    let error = given.validate().unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn schemes_of_the_clients_of_activemq_name_the_one_to_use() {
    for (url, instead) in [
        ("tcp://localhost:61616", "activemq://host:port"),
        ("NIO://ann:hush@localhost", "activemq://host:port"),
        ("ssl://localhost:61617?a=b", "activemq+ssl://host:port"),
        ("failover:(tcp://ann:hush@a:1,ssl://b:2)", "activemq://host:port,host:port"),
        ("failover://(tcp://a:1)?randomize=false", "activemq://host:port,host:port"),
    ] {
        assert_eq!(wrong_option(url), "URL scheme");
        let error = url.parse::<ConnectionOptions>().unwrap_err().to_string();
        assert!(error.ends_with(&format!("use {instead}")), "{url}: {error}");
        assert!(!error.contains("hush"), "{url}: {error}");
    }
    assert_eq!(wrong_option("tcp"), "URL");
}

#[test]
fn url_of_a_broker_without_vhosts_has_no_path() {
    for (url, shown) in [
        ("amqp://u:p@h:1", "amqp://u:***@h:1/%2F"),
        ("zmq://u:p@h:1/%2F", "zmq://u:***@h:1"),
        ("activemq://u:p@h:1,i/?name=n", "activemq://u:***@h:1,i?name=n"),
    ] {
        assert_eq!(parse(url).to_string(), shown);
    }
}

#[test]
fn hosts_of_zeromq_have_tls_by_their_scheme() {
    let url = "zmqs://ann:hush@h?cacertfile=ca.pem&certfile=c&keyfile=k&server_name_indication=n";
    let read: ConnectionOptions = url.parse().unwrap();
    let plain: ConnectionOptions = "zmq://ann:hush@h".parse().unwrap();
    let tls = TlsOptions::new()
        .authority(Pem::file("ca.pem"))
        .identity(Pem::file("c"), Pem::file("k"))
        .server_name("n");
    assert_eq!(plain.clone().tls(tls), read);
    assert_eq!(read.scheme, Scheme::Zmqs);
    assert_eq!(read.addresses().collect::<Vec<_>>(), [("h", 5556)]);
    assert_eq!(plain.addresses().collect::<Vec<_>>(), [("h", 5555)]);
    let shown = read.to_string();
    assert_eq!(shown.replace("***", "hush").parse::<ConnectionOptions>().unwrap(), read);
    let refused = "zmq://h?cacertfile=ca.pem".parse::<ConnectionOptions>().unwrap_err();
    assert!(refused.to_string().contains("use zmqs:// in place of zmq://"), "{refused}");
}

#[test]
fn options_of_a_builder_have_the_same_limits() {
    let long = "x".repeat(256);
    let new = ConnectionOptions::new;
    for (options, option) in [
        (new().vhost(&*long), "vhost"),
        (new().credentials(&*long, "p"), "user"),
        (new().credentials("u", &*"x".repeat(65_537)), "password"),
        (new().credentials("u", "a\0b"), "password"),
        (new().name("a\0b"), "name"),
        (new().host(""), "host"),
        (new().host("a:5672"), "host"),
        (new().host("a/b"), "host"),
        (new().port(0), "port"),
        (new().heartbeat(Duration::from_millis(1500)), "heartbeat"),
        (new().connect_timeout(Duration::ZERO), "connection_timeout"),
        (new().call_timeout(Duration::MAX), "call_timeout"),
        (new().frame_max(0), "frame_max"),
        (new().external_credentials(), "auth_mechanism"),
        (ConnectionOptions { hosts: Vec::new(), ..new() }, "host"),
        (ConnectionOptions { tls: TlsOptions::new().server_name("x"), ..new() }, "tls"),
        ("zmqs://h".parse::<ConnectionOptions>().unwrap().vhost("v"), "vhost"),
        ("zmqs://h".parse::<ConnectionOptions>().unwrap().external_credentials(), "auth_mechanism"),
        (ConnectionOptions::memory().vhost("v"), "vhost"),
        (ConnectionOptions::memory_named("a").port(1), "port"),
        (ConnectionOptions::memory_named("a").add_host("b"), "host"),
        (ConnectionOptions::memory_named(""), "host"),
    ] {
        match options.validate() {
            Err(Error::Config { option: named, .. }) => assert_eq!(named, option),
            other => panic!("{options:?}: {other:?}"),
        }
    }
    assert!(new().vhost(&long[1..]).credentials(&long[1..], "x".repeat(65_536)).validate().is_ok());
    assert!(
        new()
            .host("mq_1.example")
            .add_host("10.0.0.1")
            .add_host("müller.example")
            .validate()
            .is_ok()
    );
}

#[test]
fn display_masks_the_password() {
    assert_eq!(ConnectionOptions::new().to_string(), "amqp://guest:***@localhost/%2F");
    assert_eq!(ConnectionOptions::memory_named("a/b").to_string(), "memory://a%2Fb");
    let tls = TlsOptions::new()
        .authority(Pem::text("-----BEGIN hunter2"))
        .identity(Pem::file("c"), Pem::text("hunter2"));
    let options = ConnectionOptions::new()
        .host("::1")
        .credentials("u@x", "hunter2")
        .add_host(("b", 1))
        .tls(tls);
    assert_eq!(options.to_string(), "amqps://u%40x:***@[::1],b:1/%2F?certfile=c");
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[test]
fn an_unencoded_password_is_refused_and_not_shown() {
    for password in [
        "hunter2@x",
        "hunter2/x",
        "hunter2?x",
        "hunter2#x",
        "hunter2%x",
        "x@hunter2",
        "x/hunter2",
        "x?hunter2",
        "x#hunter2",
        "5672/hunter2",
    ] {
        let url = format!("amqp://user:{password}@localhost/v?heartbeat=1");
        let error = url.parse::<ConnectionOptions>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert_eq!(
        parse("amqp://user:a:b,c[d]e@h").credentials,
        Credentials::plain("user", "a:b,c[d]e")
    );
}

fn url_of(options: &ConnectionOptions) -> String {
    let mut url = String::new();
    write_url(options, |password| escape(password.reveal()).to_string(), &mut url).unwrap();
    url
}

prop_compose! {
    fn host()(
        name in prop_oneof![
            "[a-z][a-z0-9.-]{0,20}",
            Just("::1".to_string()),
            Just("10.1.2.3".to_string()),
        ],
        port in proptest::option::of(1..=u16::MAX),
    ) -> Host {
        Host { name, port }
    }
}

prop_compose! {
    fn options()(
        hosts in proptest::collection::vec(host(), 1..4),
        user in "[^\0]{0,60}",
        password in "[^\0]{0,60}",
        vhost in "[^\0]{1,60}",
        name in "[^\0]{1,60}",
        tls in proptest::option::of((
            proptest::option::of("[^\0]{1,20}"),
            proptest::option::of("[a-z.]{1,20}"),
            any::<bool>(),
        )),
        heartbeat in any::<u16>(),
        connect in 1..100_000_u64,
        call in 1..100_000_u64,
        channel_max in any::<u16>(),
        frame_max in 4096..u32::MAX,
    ) -> ConnectionOptions {
        let mut options = ConnectionOptions::new()
            .credentials(user, password)
            .vhost(vhost)
            .name(name)
            .heartbeat(Duration::from_secs(heartbeat.into()))
            .connect_timeout(Duration::from_millis(connect))
            .call_timeout(Duration::from_millis(call))
            .channel_max(channel_max)
            .frame_max(frame_max);
        options.hosts = hosts;
        if let Some((authority, server_name, identity)) = tls {
            let authorities = authority.into_iter().map(Pem::file).collect();
            let mut tls = TlsOptions { server_name, authorities, ..TlsOptions::new() };
            if identity {
                tls = tls.identity(Pem::file("c"), Pem::file("k"));
                options = options.external_credentials();
            }
            options = options.tls(tls);
        }
        options
    }
}

proptest! {
    #[test]
    fn displayed_options_are_parsed_back(options in options()) {
        let url = url_of(&options);
        let parsed = url.parse::<ConnectionOptions>();
        let parsed = parsed.map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
        prop_assert_eq!(parsed, options);
    }

    #[test]
    fn arbitrary_text_is_parsed_or_refused(text in "\\PC*") {
        let _ = text.parse::<ConnectionOptions>();
        let _ = format!("amqp://{text}").parse::<ConnectionOptions>();
        let _ = format!("amqps://h?{text}").parse::<ConnectionOptions>();
    }

    #[test]
    fn url_like_text_is_parsed_or_refused(
        text in "(amqps?|memory)://[a-z0-9:@/?#%&=,\\[\\]]{0,40}",
    ) {
        if let Ok(options) = text.parse::<ConnectionOptions>() {
            prop_assert_eq!(url_of(&options).parse::<ConnectionOptions>().unwrap(), options);
        }
    }

    #[test]
    fn no_error_contains_a_password(
        left in "[a-z0-9:@/?#%&=,\\[\\]]{0,8}",
        right in "[a-z0-9:@/?#%&=,\\[\\]]{0,8}",
        rest in "(:[0-9]{1,6})?(/[a-z/]{0,4})?(\\?[a-z]{1,4}=[a-z])?",
    ) {
        let url = format!("amqp://user:HUNTER{left}SECRET{right}HUNTER@localhost{rest}");
        let shown = match url.parse::<ConnectionOptions>() {
            Ok(options) => format!("{options} {options:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        prop_assert!(!shown.contains("HUNTER") && !shown.contains("SECRET"), "{}: {}", url, shown);
    }
}
