//! `carrot doctor`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use carrot::config::Pem;
use carrot::memory::Broker;
use carrot::server::{Server, ServerTls};

use crate::support::{LONG, Ran, TestBroker, command, on_each_broker, run};

on_each_broker! {
    doctor_finds_nothing_wrong
    doctor_checks_named_queues
}

/// The results by the name of their check.
fn results(ran: &Ran) -> Vec<(String, String)> {
    ran.output
        .lines()
        .map(|line| {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(entry["result"] == "failed", entry["advice"].is_string(), "{line}");
            let text = |name: &str| entry[name].as_str().unwrap().to_string();
            (text("check"), text("result"))
        })
        .collect()
}

/// Asserts that exactly this check fails, that those before were done, and those after skipped.
pub(crate) fn fails(ran: &Ran, code: i32, check: &str) {
    assert_eq!(ran.code, code, "{ran:?}");
    let results = results(ran);
    assert_eq!(results.len(), 14, "{ran:?}");
    let at = results.iter().position(|(name, _)| name == check).unwrap();
    for (index, (name, result)) in results.iter().enumerate() {
        match index.cmp(&at) {
            std::cmp::Ordering::Less => assert_ne!(result, "failed", "{name}: {ran:?}"),
            std::cmp::Ordering::Equal => assert_eq!(result, "failed", "{name}: {ran:?}"),
            std::cmp::Ordering::Greater => assert_eq!(result, "skipped", "{name}: {ran:?}"),
        }
    }
    assert_eq!(ran.errors, format!("carrot: the check {check} failed\n"));
}

pub(crate) fn doctor(url: &str) -> Ran {
    doctor_within("20", url)
}

/// Runs the doctor with this number of seconds for each check.
pub(crate) fn doctor_within(seconds: &str, url: &str) -> Ran {
    let mut doctor = command(&["doctor", "--json", "--timeout", seconds]);
    doctor.env("CARROT_URL", url);
    run(doctor, "")
}

fn doctor_checks_named_queues(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    broker.ok(&["publish", "-q", &queue, "a"]);
    let printed = broker.ok(&["doctor", &queue]);
    assert!(printed.contains(&format!("{queue}: 1 ready, 0 consumers")), "{printed}");
    let ran = broker.run(&["doctor", "--json", &queue, &broker.name()], "");
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(ran.errors, "carrot: the check queues failed\n");
    assert!(ran.output.contains("declare the queue"), "{ran:?}");
}

fn doctor_finds_nothing_wrong(broker: &TestBroker) {
    let ran = broker.run(&["doctor", "--json"], "");
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{ran:?}");
    let results = results(&ran);
    assert_eq!(results.len(), 14, "{ran:?}");
    for check in ["url", "dns", "tcp", "greeting", "credentials", "permissions", "alarms"] {
        assert!(results.contains(&(check.into(), "ok".into())), "{check}: {ran:?}");
    }
    let printed = broker.ok(&["doctor"]);
    assert!(printed.contains("ok       tcp") && printed.contains("skipped  tls"), "{printed}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn doctor_names_the_permission_that_is_missing() {
    let broker = TestBroker::rabbitmq();
    let user = broker.name();
    let (_, host) = broker.url.split_once('@').unwrap();
    let url = format!("amqp://{user}:hush-9@{host}");
    let rabbitmqctl = |arguments: &[&str]| {
        let script = "$CARROT_TEST_RABBITMQCTL \"$@\"";
        let mut command = std::process::Command::new("sh");
        let status = command.args(["-c", script, "sh"]).args(arguments).output().unwrap().status;
        assert!(status.success(), "{arguments:?}");
    };
    rabbitmqctl(&["add_user", &user, "hush-9"]);
    let ran = doctor(&url);
    fails(&ran, 4, "vhost");
    assert!(ran.output.contains("let the user in"), "{ran:?}");
    for (permissions, needs) in [
        (["^$", ".*", ".*"], "configure for"),
        ([".*", "^$", ".*"], "write for"),
        ([".*", ".*", "^$"], "read for"),
    ] {
        rabbitmqctl(&[&["set_permissions", &user][..], &permissions].concat());
        let ran = doctor(&url);
        fails(&ran, 4, "permissions");
        assert!(ran.output.contains(needs), "{needs}: {ran:?}");
    }
    rabbitmqctl(&["delete_user", &user]);
}

#[test]
fn doctor_of_the_memory_broker_finds_nothing_wrong() {
    let ran = doctor("memory://");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(results(&ran).contains(&("permissions".into(), "ok".into())), "{ran:?}");
}

#[test]
fn doctor_names_the_check_that_failed() {
    fails(&doctor("amqp://127.0.0.1:99999"), 2, "url");
    fails(&doctor("amqp://no-such-host.invalid"), 3, "dns");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = doctor(&format!("amqp://{free}"));
    fails(&ran, 3, "tcp");
    assert!(ran.output.contains("nothing listens at port"), "{ran:?}");
    fails(&doctor(&format!("zmq://{free}")), 3, "tcp");
    fails(&doctor("zmq+ipc:///nonexistent/socket"), 3, "tcp");
    let broker = TestBroker::hosted("amqp");
    fails(&doctor(&format!("{}/no-such-vhost", broker.url)), 4, "vhost");
}

#[test]
fn doctor_of_a_wrong_password_does_not_print_it() {
    let broker = TestBroker::hosted("amqp");
    let ran = doctor(&broker.url.replace("amqp://", "amqp://ann:hush-9@"));
    fails(&ran, 4, "credentials");
    assert!(!ran.output.contains("hush") && ran.output.contains("ann:***"), "{ran:?}");
    let ran = doctor("amqp://ann:hush-9@127.0.0.1:99999");
    assert!(!ran.output.contains("hush") && !ran.errors.contains("hush"), "{ran:?}");
}

#[test]
fn doctor_names_another_protocol() {
    let http = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    for scheme in ["amqp", "zmq"] {
        let ran = doctor(&format!("{scheme}://{http}"));
        fails(&ran, 3, "greeting");
        assert!(ran.output.contains("speaks HTTP"), "{ran:?}");
    }
    let unknown = answering(b"\x1b[31mwelcome");
    let ran = doctor(&format!("amqp://{unknown}"));
    fails(&ran, 3, "greeting");
    assert!(!ran.output.contains('\u{1b}'), "{ran:?}");
    let (amqp, zeromq) = (TestBroker::hosted("amqp"), TestBroker::hosted("zeromq"));
    let ran = doctor(&amqp.url.replace("amqp://", "zmq://"));
    fails(&ran, 3, "greeting");
    assert!(ran.output.contains("speaks AMQP"), "{ran:?}");
    fails(&doctor(&zeromq.url.replace("zmq://", "amqp://")), 3, "greeting");
    // A TLS client on a port without TLS.
    let ran = doctor(&amqp.url.replace("amqp://", "amqps://"));
    fails(&ran, 3, "tls");
    assert!(ran.output.contains("the port has no TLS"), "{ran:?}");
    let ran = doctor(&format!("amqps://{http}"));
    fails(&ran, 3, "tls");
}

#[test]
fn doctor_of_a_tls_port_checks_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, issued.cert.pem()).unwrap();
    let certificate = Pem::text(issued.cert.pem());
    let key = Pem::text(issued.signing_key.serialize_pem());
    let server =
        Server::builder(&Broker::new()).tls(ServerTls::new(certificate, key)).bind("127.0.0.1:0");
    let server = server.unwrap();
    let address = server.address();
    let path = authority.to_str().unwrap();
    let trusting = doctor(&format!("amqps://{address}?cacertfile={path}"));
    assert_eq!(trusting.code, 0, "{trusting:?}");
    let ran = doctor(&format!("amqps://{address}?cacertfile={path}&server_name_indication=other"));
    fails(&ran, 3, "tls");
    assert!(ran.output.contains("server_name_indication=NAME"), "{ran:?}");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    std::fs::write(&authority, other.cert.pem()).unwrap();
    let ran = doctor(&format!("amqps://{address}?cacertfile={path}"));
    fails(&ran, 3, "tls");
    assert!(ran.output.contains("cacertfile=FILE"), "{ran:?}");
    fails(&doctor(&format!("amqps://{address}?cacertfile=/nonexistent.pem")), 2, "tls");
    let ran = doctor(&format!("amqp://{address}"));
    fails(&ran, 3, "greeting");
    assert!(ran.output.contains("amqps://"), "{ran:?}");
    server.stop(Duration::from_secs(5)).unwrap();
}

#[test]
fn doctor_of_a_peer_that_says_nothing_ends_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for (scheme, check) in [("amqp", "greeting"), ("amqps", "tls"), ("zmq", "greeting")] {
        let url = format!("{scheme}://{address}");
        let started = Instant::now();
        let mut doctor = command(&["doctor", "--json", "--timeout", "0.5"]);
        doctor.env("CARROT_URL", url);
        fails(&run(doctor, ""), 3, check);
        assert!(started.elapsed() < LONG);
    }
}

#[test]
fn doctor_reports_that_publishing_is_blocked() {
    let broker = Broker::new();
    let server = Server::builder(&broker).memory_limit(1000).bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}", server.address());
    let on = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("CARROT_URL", &url);
        run(command, "")
    };
    assert_eq!(on(&["declare", "queue", "full"]).code, 0);
    on(&["publish", "-q", "full", &"x".repeat(2000), "--timeout", "1"]);
    let ran = on(&["doctor", "--json", "--timeout", "1"]);
    let results = results(&ran);
    assert!(results.contains(&("alarms".into(), "failed".into())), "{ran:?}");
    assert!(results.contains(&("permissions".into(), "skipped".into())), "{ran:?}");
    assert_eq!(ran.code, 1, "{ran:?}");
    server.stop(Duration::from_secs(5)).unwrap();
}

/// Starts a server that gives one answer to everyone, after the first octets.
fn answering(answer: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let answer_one = |mut client: TcpStream| {
            let mut octets = [0; 4096];
            client.read(&mut octets).and_then(|_| client.write_all(answer))
        };
        listener.incoming().map_while(Result::ok).for_each(|client| drop(answer_one(client)));
    });
    address
}
