//! The advice of `carrot doctor` about each way in which a broker cannot be reached.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use carrot::config::Pem;
use carrot::memory::Broker;
use carrot::server::{Server, ServerTls};
use carrot::zeromq::BrokerHost;

use crate::doctor::{doctor, doctor_within, fails};
use crate::support::{LONG, Ran, command, run};

/// Asserts that a check fails, with this detail and this advice.
fn says(ran: &Ran, code: i32, check: &str, detail: &str, advice: &str) {
    fails(ran, code, check);
    let failed = ran.output.lines().find(|line| line.contains(r#""result":"failed""#)).unwrap();
    let failed: serde_json::Value = serde_json::from_str(failed).unwrap();
    let has = |name: &str, text: &str| failed[name].as_str().unwrap().contains(text);
    assert!(has("detail", detail), "{detail}: {failed}");
    assert!(has("advice", advice), "{advice}: {failed}");
}

/// Asserts that the check of the protocol fails.
fn greeting_says(url: &str, detail: &str, advice: &str) {
    says(&doctor(url), 3, "greeting", detail, advice);
}

/// The same broker over every protocol, with TLS and without.
struct Hosts {
    servers: [Server; 2],
    hosts: [BrokerHost; 2],
    folder: tempfile::TempDir,
}

impl Hosts {
    fn start() -> Hosts {
        let folder = tempfile::tempdir().unwrap();
        let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
        std::fs::write(folder.path().join("ca.pem"), issued.cert.pem()).unwrap();
        let tls = || {
            let certificate = Pem::text(issued.cert.pem());
            ServerTls::new(certificate, Pem::text(issued.signing_key.serialize_pem()))
        };
        let broker = Broker::new();
        let address = "127.0.0.1:0";
        let servers = [
            Server::builder(&broker).bind(address).unwrap(),
            Server::builder(&broker).tls(tls()).bind(address).unwrap(),
        ];
        let hosts = [
            BrokerHost::builder(&broker).bind(address).unwrap(),
            BrokerHost::builder(&broker).tls(tls()).bind(address).unwrap(),
        ];
        Hosts { servers, hosts, folder }
    }

    /// Returns the URL of a scheme at the port of a host.
    fn url(&self, scheme: &str, port_of: &str) -> String {
        let address = match port_of {
            "amqp" => self.servers[0].address().to_string(),
            "amqps" => self.servers[1].address().to_string(),
            "zmq" => self.hosts[0].url(),
            _ => self.hosts[1].url(),
        };
        let address = address.rsplit('/').next().unwrap().to_string();
        let authority = self.folder.path().join("ca.pem");
        let tls = match scheme {
            "amqps" | "zmqs" => format!("?cacertfile={}", authority.display()),
            _ => String::new(),
        };
        format!("{scheme}://{address}{tls}")
    }
}

#[test]
fn doctor_names_the_scheme_of_a_wrong_port() {
    let hosts = Hosts::start();
    for scheme in ["amqp", "amqps", "zmq", "zmqs"] {
        let ran = doctor(&hosts.url(scheme, scheme));
        assert_eq!(ran.code, 0, "{scheme}: {ran:?}");
    }
    for (scheme, port_of, detail, advice) in [
        // A TLS port may answer with an alert, or close the connection.
        ("amqp", "amqps", "", "amqps://"),
        ("amqp", "zmq", "it speaks ZeroMQ", "use zmq://"),
        ("amqp", "zmqs", "", "amqps://"),
        ("zmq", "amqp", "it speaks AMQP", "use amqp://"),
        ("zmq", "zmqs", "", "zmqs://"),
        ("zmq", "amqps", "", "zmqs://"),
        ("amqps", "zmqs", "it speaks ZeroMQ", "use zmqs://"),
        ("zmqs", "amqps", "it speaks AMQP", "use amqps://"),
    ] {
        greeting_says(&hosts.url(scheme, port_of), detail, advice);
    }
    for (scheme, port_of, advice) in [
        ("amqps", "amqp", "the port has no TLS: use amqp://"),
        ("amqps", "zmq", "the port has no TLS: use amqp://"),
        ("zmqs", "zmq", "the port has no TLS: use zmq://"),
        ("zmqs", "amqp", "the port has no TLS: use zmq://"),
    ] {
        says(&doctor(&hosts.url(scheme, port_of)), 3, "tls", "", advice);
    }
}

#[test]
fn doctor_of_zmqs_checks_the_certificate() {
    let hosts = Hosts::start();
    let url = hosts.url("zmqs", "zmqs");
    let (without, _) = url.split_once('?').unwrap();
    says(&doctor(without), 3, "tls", "", "?cacertfile=FILE");
    let other = format!("{url}&server_name_indication=other");
    says(&doctor(&other), 3, "tls", "", "server_name_indication=NAME");
}

/// Starts a peer that gives one answer to everyone, and then keeps the connection or ends it.
fn peer(answer: &'static [u8], keeps: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 4096]).and_then(|_| client.write_all(answer));
            if keeps {
                kept.push(client);
            }
        }
    });
    address
}

#[test]
fn doctor_names_the_protocol_of_another_server() {
    let http = peer(b"HTTP/1.1 400 Bad Request\r\n\r\n", true);
    greeting_says(&format!("amqp://{http}"), "it speaks HTTP", "amqp:// has 5672 by default");
    greeting_says(&format!("zmq://{http}"), "it speaks HTTP", "zmq:// has 5555 by default");
    for (scheme, advice) in [("amqps", "use amqp://"), ("zmqs", "use zmq://")] {
        says(&doctor(&format!("{scheme}://{http}")), 3, "tls", "", advice);
    }
    let alert = peer(b"\x15\x03\x03\x00\x02\x02\x46", true);
    greeting_says(&format!("amqp://{alert}"), "it speaks TLS", "use amqps://");
    greeting_says(&format!("zmq://{alert}"), "it speaks TLS", "use zmqs://");
    let ssh = peer(b"SSH-2.0-OpenSSH\r\n", true);
    greeting_says(&format!("amqp://{ssh}"), "it speaks SSH", "name the port of the broker");
    let other = peer(b"\x1b[31mwelcome", true);
    greeting_says(&format!("amqp://{other}"), "\\u{1b}[31mwelcome", "name the port of the broker");
    let amqp_1 = peer(b"AMQP\x00\x01\x00\x00", true);
    greeting_says(&format!("amqp://{amqp_1}"), "AMQP 1-0-0", "AMQP 0-9-1 is needed");
}

#[test]
fn doctor_of_a_silent_or_closing_peer_says_what_stands_between() {
    let silent = peer(b"", true);
    let started = Instant::now();
    for scheme in ["amqp", "zmq"] {
        let ran = doctor_within("0.5", &format!("{scheme}://{silent}"));
        says(&ran, 3, "greeting", "said nothing in time", "a broker that hangs");
    }
    for (scheme, port) in [("amqps", "5671"), ("zmqs", "5556")] {
        let ran = doctor_within("0.5", &format!("{scheme}://{silent}"));
        says(&ran, 3, "tls", "", &format!("{port} by default for {scheme}://"));
    }
    assert!(started.elapsed() < LONG);
    let closing = peer(b"", false);
    for (scheme, tls) in [("amqp", "amqps://"), ("zmq", "zmqs://")] {
        greeting_says(&format!("{scheme}://{closing}"), "closed the connection", tls);
    }
}

#[test]
fn doctor_of_a_refused_port_names_the_default_one() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (scheme, port) in [("amqp", 5672), ("amqps", 5671), ("zmq", 5555), ("zmqs", 5556)] {
        let advice = format!("{scheme}:// has {port} by default");
        says(&doctor(&format!("{scheme}://{free}")), 3, "tcp", "refused", &advice);
    }
}

#[test]
fn doctor_of_an_unknown_host_names_dns() {
    for scheme in ["amqp", "amqps", "zmq", "zmqs"] {
        let ran = doctor(&format!("{scheme}://no-such-host.invalid"));
        says(&ran, 3, "dns", "no-such-host.invalid", "check the spelling of the host");
    }
}

#[test]
fn doctor_of_wrong_credentials_and_vhosts_names_them() {
    let broker = Broker::new();
    let server = Server::builder(&broker).user("ann", "hush-9").bind("127.0.0.1:0").unwrap();
    let host = BrokerHost::builder(&broker).user("ann", "hush-9").bind("127.0.0.1:0").unwrap();
    let (amqp, zmq) = (server.address().to_string(), host.url().replace("zmq://", ""));
    for url in [format!("amqp://ann:wrong-7@{amqp}"), format!("zmq://ann:wrong-7@{zmq}")] {
        let ran = doctor(&url);
        says(&ran, 4, "credentials", "", "check user and password");
        assert!(!ran.output.contains("wrong-7") && !ran.errors.contains("wrong-7"), "{ran:?}");
        assert_eq!(doctor(&url.replace("wrong-7", "hush-9")).code, 0);
    }
    let ran = doctor(&format!("amqp://ann:hush-9@{amqp}/missing"));
    says(&ran, 4, "vhost", "missing", "check the path of the URL");
    host.stop(Duration::from_secs(5)).unwrap();
    server.stop(Duration::from_secs(5)).unwrap();
}

#[test]
fn doctor_names_a_vhost_only_where_there_are_some() {
    let hosts = Hosts::start();
    for (scheme, has_vhosts) in [("amqp", true), ("zmq", false)] {
        let mut doctor = command(&["doctor", "--json", "--timeout", "20", "missing-queue"]);
        doctor.env("CARROT_URL", hosts.url(scheme, scheme));
        let ran = run(doctor, "");
        says(&ran, 5, "queues", "missing-queue", "declare the queue, or correct its name");
        assert_eq!(ran.output.contains("the vhost of the URL"), has_vhosts, "{ran:?}");
        assert_eq!(ran.output.contains("/%2F"), has_vhosts, "{ran:?}");
    }
    let ran = doctor("activemq://127.0.0.1:1");
    assert!(ran.output.contains("activemq://guest:***@127.0.0.1:1\""), "{ran:?}");
    let wrong = doctor("activemq://ann@127.0.0.1");
    says(&wrong, 2, "url", "password", "activemq://USER:PASSWORD@HOST:PORT");
}

#[cfg(unix)]
#[test]
fn doctor_of_a_socket_of_the_file_system_names_its_state() {
    use std::os::unix::net::UnixListener;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = |name: &str| format!("zmq+ipc://{}", path(name).display());
    let host = BrokerHost::builder(&Broker::new()).bind_path(path("host")).unwrap();
    let ran = doctor(&url("host"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains("no TCP: the socket "), "{ran:?}");
    host.stop(Duration::from_secs(5)).unwrap();
    says(&doctor(&url("missing")), 3, "tcp", "missing", "no socket is there");
    drop(UnixListener::bind(path("left")).unwrap());
    says(&doctor(&url("left")), 3, "tcp", "left", "its host has ended");
    std::fs::write(path("file"), "").unwrap();
    says(&doctor(&url("file")), 3, "tcp", "file", "its host has ended");
    let _silent = UnixListener::bind(path("silent")).unwrap();
    let ran = doctor_within("0.5", &url("silent"));
    says(&ran, 3, "greeting", "said nothing in time", "a broker that hangs");
    let other = UnixListener::bind(path("http")).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut client, _) = other.accept().unwrap();
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    });
    greeting_says(&url("http"), "it speaks HTTP", "name the socket of the broker");
    answering.join().unwrap();
}
