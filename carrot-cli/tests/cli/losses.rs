//! Brokers that go away while the command works.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{LONG, TestBroker, finish};

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
