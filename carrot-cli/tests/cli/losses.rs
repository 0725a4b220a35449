//! Brokers that go away while the command works.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use carrot::memory::Broker;
use carrot::server::Server;

use crate::support::{LONG, TestBroker, finish, interrupt, next_line, start};

#[test]
fn consume_that_waits_for_a_broker_that_has_gone_is_exit_code_3() {
    for (protocol, more) in [("amqp", &["-n", "2"][..]), ("zeromq", &[])] {
        let mut broker = TestBroker::hosted(protocol);
        let queue = broker.queue(&[]);
        let arguments = ["consume", &queue, "--wait", "5", "--timeout", "2"];
        let (child, _output) = start(broker.command(&[&arguments[..], more].concat()));
        wait_for_count(&broker, &queue, r#""consumers":1"#);
        broker.kill();
        let ran = finish(child);
        let expected = "carrot: handled 0 messages\ncarrot: the connection was lost\n";
        assert_eq!((ran.code, ran.errors.as_str()), (3, expected), "{protocol}");
    }
}

fn wait_for_count(broker: &TestBroker, queue: &str, expected: &str) {
    let deadline = Instant::now() + LONG;
    while !broker.ok(&["count", queue, "--json"]).contains(expected) {
        assert!(Instant::now() < deadline, "{expected} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn consume_that_follows_reports_the_loss_and_the_return() {
    let queues = Broker::new();
    let server = Server::builder(&queues).bind("127.0.0.1:0").unwrap();
    let address = server.address();
    let broker = TestBroker::at(server.url());
    let queue = broker.queue(&[]);
    let following = ["consume", &queue, "--body", "--follow"];
    let (mut child, mut output) = start(broker.command(&following));
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    wait_for_count(&broker, &queue, r#""consumers":1"#);
    server.stop(LONG).unwrap();
    errors.read_line(&mut line).unwrap();
    assert!(line.starts_with("carrot: the connection was lost, reconnecting: "), "{line}");
    let server = Server::builder(&queues).bind(address).unwrap();
    line.clear();
    errors.read_line(&mut line).unwrap();
    assert_eq!(line, "carrot: connected again\n");
    broker.ok(&["publish", "-q", &queue, "one"]);
    assert_eq!(next_line(&mut output), "one");
    interrupt(&child);
    assert_eq!(finish(child).code, 130);
    line.clear();
    errors.read_to_string(&mut line).unwrap();
    assert_eq!(line, "carrot: interrupted after 1 message\n");
    server.stop(LONG).unwrap();
}

#[test]
fn consume_says_what_was_handled_before_the_loss() {
    for protocol in ["amqp", "zeromq"] {
        let mut broker = TestBroker::hosted(protocol);
        let queue = broker.queue(&[]);
        broker.run(&["publish", "-q", &queue, "--lines"], "one\ntwo\n");
        // The second message waits for the end of the broker.
        let script = "read body; echo $body; test $body = one || read go < $FIFO";
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("go");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let follow = ["consume", &queue, "--follow", "--", "sh", "-c", script];
        let mut consume = broker.command(&follow);
        consume.env("FIFO", &fifo);
        let (mut child, mut output) = start(consume);
        assert_eq!((next_line(&mut output), next_line(&mut output)), ("one".into(), "two".into()));
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        broker.kill();
        errors.read_line(&mut line).unwrap();
        assert!(line.starts_with("carrot: the connection was lost"), "{line}");
        std::fs::write(&fifo, "go\n").unwrap();
        let ran = finish(child);
        let mut rest = String::new();
        errors.read_to_string(&mut rest).unwrap();
        assert_eq!(ran.code, 3, "{protocol}: {rest}");
        assert!(rest.starts_with("carrot: handled 1 message\n"), "{protocol}: {rest}");
    }
}

#[test]
fn bench_reports_what_was_done_before_the_loss() {
    let mut broker = TestBroker::hosted("amqp");
    let arguments =
        ["bench", "--time", "300", "--json", "--timeout", "2", "--rate", "50", "-c", "0"];
    let mut bench = broker.command(&arguments);
    let mut child = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let queue = line.trim().strip_prefix("carrot: the queue is ").unwrap();
    let deadline = Instant::now() + LONG;
    while broker.ready(queue) == 0 {
        assert!(Instant::now() < deadline, "nothing is published");
        std::thread::sleep(Duration::from_millis(20));
    }
    broker.kill();
    let ran = finish(child);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(ran.code, 3, "{ran:?}: {rest}");
    assert!(ran.output.contains(r#""published":"#), "{ran:?}: {rest}");
}
