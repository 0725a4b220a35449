//! `carrot peek` of a stream, which keeps what is read.

use crate::support::TestBroker;

fn stream_with(broker: &TestBroker, messages: u32) -> String {
    let stream = broker.queue(&["--type", "stream"]);
    let lines: String = (0..messages).map(|number| format!("m{number}\n")).collect();
    let ran = broker.run(&["publish", "-q", &stream, "--lines"], &lines);
    assert_eq!(ran.code, 0, "{ran:?}");
    stream
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn peek_reads_a_stream_from_its_first_message_and_takes_none() {
    let broker = TestBroker::rabbitmq();
    let stream = stream_with(&broker, 300);
    for number in [3, 250] {
        let ran = broker.run(&["peek", &stream, "-n", &number.to_string()], "");
        assert_eq!(ran.code, 0, "{ran:?}");
        let bodies: Vec<&str> =
            ran.output.lines().filter_map(|line| line.trim_start().strip_prefix('m')).collect();
        let expected: Vec<String> = (0..number).map(|number| number.to_string()).collect();
        assert_eq!(bodies, expected, "{ran:?}");
        assert_eq!(ran.errors, "carrot: the stream keeps its messages\n");
    }
    // More than the stream has.
    let printed = broker.ok(&["peek", &stream, "-n", "1000", "--json"]);
    assert_eq!(printed.lines().count(), 300, "{printed}");
    assert!(!printed.contains("redelivered"), "{printed}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn peek_of_an_empty_stream_ends() {
    let broker = TestBroker::rabbitmq();
    let stream = stream_with(&broker, 0);
    let ran = broker.run(&["peek", &stream, "--json"], "");
    assert_eq!((ran.code, &*ran.output), (0, ""), "{ran:?}");
}
