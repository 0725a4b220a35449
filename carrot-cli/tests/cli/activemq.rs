//! The command on ActiveMQ.

use std::io::Write;
use std::net::TcpListener;

use crate::doctor::doctor;
use crate::support::{TestBroker, run};

/// The first command of a broker that speaks OpenWire 12.
const FORMAT: &[u8] = b"\0\0\0\x0e\x01ActiveMQ\0\0\0\x0c\0";

fn activemq() -> TestBroker {
    let url = std::env::var("CARROT_TEST_ACTIVEMQ_URL")
        .expect("CARROT_TEST_ACTIVEMQ_URL has to name a broker; ./scripts/test starts one");
    TestBroker::at(url)
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn messages_are_published_counted_moved_and_consumed() {
    let broker = activemq();
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    let arguments = ["publish", "-q", &from, "--lines", "-H", "n:=7", "--json"];
    let ran = broker.run(&arguments, "a\nb\nc\n");
    assert!(ran.code == 0 && ran.output.contains(r#""confirmed":3"#), "{ran:?}");
    assert_eq!(broker.run(&["publish", "-q", &broker.name(), "lost"], "").code, 6);
    assert_eq!(broker.ok(&["peek", &from, "-n", "2", "--json"]).lines().count(), 2);
    broker.wait_for_ready(&from, 3);
    broker.ok(&["move", &from, "--to", &to]);
    let printed = broker.ok(&["consume", &to, "--json", "-n", "3"]);
    for (line, body) in printed.lines().zip(["a", "b", "c"]) {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&record["body"], &record["properties"]["headers"]["n"]),
            (&body.into(), &7.into())
        );
    }
    broker.ok(&["publish", "-q", &from, "x", "--count", "4"]);
    let printed = broker.ok(&["purge", &from, "--yes", "--json"]);
    assert!(printed.contains(r#""purged":4"#), "{printed}");
    for queue in [&from, &to] {
        broker.ok(&["delete", "queue", queue]);
    }
    assert_eq!(broker.run(&["count", &from], "").code, 5);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn bench_counts_all_and_deletes_its_queue() {
    let broker = activemq();
    let ran = broker.run(&["bench", "-n", "200", "--json"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let results: serde_json::Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!((&results["confirmed"], &results["received"]), (&200.into(), &200.into()));
    let queue = ran.errors.lines().find_map(|line| line.strip_prefix("carrot: the queue is "));
    assert_eq!(broker.run(&["count", queue.unwrap()], "").code, 5);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn doctor_names_protocol_and_password() {
    let broker = activemq();
    let printed = broker.ok(&["doctor"]);
    assert!(printed.contains("OpenWire 12"), "{printed}");
    assert!(printed.contains("declared a queue, published to it, got from it"), "{printed}");
    let (scheme, rest) = broker.url.split_once("://").unwrap();
    let (_, address) = rest.split_once('@').unwrap();
    let ran = doctor(&format!("{scheme}://carrot:wrong@{address}"));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(ran.errors, "carrot: the check credentials failed\n");
    let ran = doctor(&format!("amqp://{address}"));
    assert!(ran.code == 3 && ran.output.contains("use activemq://"), "{ran:?}");
}

#[test]
fn doctor_names_another_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(FORMAT).unwrap();
        socket
    });
    let ran = doctor(&format!("zmq://{address}"));
    assert!(ran.code == 3 && ran.output.contains("it speaks OpenWire"), "{ran:?}");
    drop(peer.join().unwrap());
    let hosted = TestBroker::hosted("amqp");
    let ran = doctor(&hosted.url.replace("amqp:", "activemq:"));
    assert!(ran.code == 3 && ran.output.contains("it speaks AMQP"), "{ran:?}");
    let mut count = hosted.command(&["count", "q"]);
    count.env("CARROT_URL", hosted.url.replace("amqp:", "activemq:"));
    assert_eq!(run(count, "").code, 3);
}
