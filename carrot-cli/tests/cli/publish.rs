//! `carrot publish`.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{
    LONG, TestBroker, command, finish, interrupt, next_line, on_each_broker, run, start,
    until_blocked,
};

on_each_broker! {
    publish_of_an_argument_a_file_and_the_input
    publish_to_no_queue_is_reported
    publish_of_lines_with_count_and_properties
    publish_of_lines_keeps_every_octet
    publish_of_broken_lines_says_which
    publish_of_a_line_above_the_largest_message_says_which
    publish_copies_what_consume_printed
    publish_is_ended_by_ctrl_c
    publish_at_ctrl_c_sends_the_lines_that_have_come
    publish_at_ctrl_c_waits_for_no_input
    publish_to_no_queue_is_reported_before_the_input_ends
}

fn publish_of_an_argument_a_file_and_the_input(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\x00\xff").unwrap();
    broker.ok(&["publish", "-q", &queue, "argument"]);
    broker.ok(&["publish", "-q", &queue, "--file", file.path().to_str().unwrap()]);
    let ran = broker.run(&["publish", "-k", &queue], "input");
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""));
    let printed = broker.ok(&["consume", &queue, "--json", "-n", "3"]);
    let bodies: Vec<&str> =
        printed.lines().map(|line| line.split_once(r#""body"#).unwrap().1).collect();
    assert_eq!(bodies, [r#"":"argument"}"#, r#"_base64":"AP8="}"#, r#"":"input"}"#]);
}

fn publish_of_a_line_above_the_largest_message_says_which(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let join = if broker.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{join}max_message_size=10", broker.url);
    let input = "0123456789\n\n01234567890\nrest\n";
    let ran = broker.run(&["publish", "-q", &queue, "--lines", "--url", &url], input);
    assert_eq!(ran.code, 2, "{ran:?}");
    let expected = "line 3 of the input: the line has more than 10 bytes, the option \
                    max_message_size of the URL";
    assert!(ran.errors.contains(expected), "{ran:?}");
    assert_eq!(broker.ready(&queue), 2);
    // A line of JSON is longer than its body.
    let line = |size: usize| format!("{{\"body\":\"{}\"}}\n", "x".repeat(size));
    let arguments = ["publish", "-q", &queue, "--json-lines", "--url", &url];
    let ran = broker.run(&arguments, &line(10));
    assert_eq!(ran.code, 0, "{ran:?}");
    for (size, reason) in [(11, "max_message_size"), (1 << 21, "more than 1048596 bytes")] {
        let ran = broker.run(&arguments, &format!("\n{}", line(size)));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.errors.contains("line 2 of the input: "), "{ran:?}");
        assert!(ran.errors.contains(reason), "{ran:?}");
    }
    assert_eq!(broker.ready(&queue), 3);
}

/// The standard input without an end and without a line feed does not fill the memory.
#[cfg(target_os = "linux")]
#[test]
fn publish_of_an_endless_line_fails() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    let url = format!("{}?max_message_size=1000000", broker.url);
    let mut publish = broker.command(&["publish", "-q", &queue, "--lines", "--url", &url]);
    publish.stdin(std::fs::File::open("/dev/zero").unwrap());
    let (child, _output) = start(publish);
    let ran = finish(child);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("line 1 of the input: "), "{ran:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn endless_body_of_a_file_or_the_input_fails() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    let url = format!("{}?max_message_size=1000000", broker.url);
    let publish = ["publish", "-q", &queue, "--url", &url];
    let call = ["rpc", &queue, "--url", &url];
    for arguments in [&publish[..], &call] {
        for (file, name) in [(&["--file", "/dev/zero"][..], "--file /dev/zero"), (&[], "input")] {
            let mut command = broker.command(&[arguments, file].concat());
            command.stdin(std::fs::File::open("/dev/zero").unwrap());
            let (child, _output) = start(command);
            let ran = finish(child);
            assert_eq!(ran.code, 2, "{ran:?}");
            let reason = format!("{name}: the body has more than 1000000 bytes, the option");
            assert!(ran.errors.contains(&reason), "{ran:?}");
        }
    }
}

fn publish_to_no_queue_is_reported(broker: &TestBroker) {
    let ran = broker.run(&["publish", "-q", &broker.name(), "lost", "--count", "3"], "");
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(ran.errors.contains("message 3: no queue is named"), "{ran:?}");
    assert!(ran.errors.contains("NO_ROUTE"), "{ran:?}");
    assert!(ran.errors.contains("3 sent: 0 confirmed, 3 unroutable"), "{ran:?}");
    let ran = broker.run(&["publish", "-e", &broker.name(), "lost"], "");
    assert_eq!(ran.code, 5, "{ran:?}");
}

fn publish_of_lines_with_count_and_properties(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let arguments = ["publish", "-q", &queue, "--lines", "--count", "2", "--json"];
    let properties = ["-H", "a=1", "-H", "b:=[1,true]", "--type", "t", "--transient"];
    let ran = broker.run(&[&arguments[..], &properties].concat(), "one\ntwo\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.output.contains(r#""confirmed":4"#), "{ran:?}");
    let printed = broker.ok(&["consume", &queue, "--json", "-n", "4"]);
    let lines: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bodies: Vec<_> = lines.iter().map(|line| line["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["one", "one", "two", "two"]);
    let properties = &lines[0]["properties"];
    assert_eq!(properties["headers"], serde_json::json!({"a": "1", "b": [1, true]}));
    assert_eq!((&properties["type"], &properties["delivery_mode"]), (&"t".into(), &1.into()));
}

fn publish_of_lines_keeps_every_octet(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let input: &[u8] = b"\xff\r\n\n\0\r\nend";
    let mut publish = broker.command(&["publish", "-q", &queue, "--lines"]);
    publish.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = publish.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let ran = finish(child);
    assert_eq!(ran.code, 0, "{ran:?}");
    let consumed = broker.command(&["consume", &queue, "--body"]).output().unwrap();
    assert_eq!(consumed.stdout, [input, b"\n"].concat());
    let ran = broker.run(&["publish", "--json-lines", "-q", &queue], "{\"body\":\"x\"}\r\n\r\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    broker.wait_for_ready(&queue, 1);
}

fn publish_of_broken_lines_says_which(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let arguments = ["publish", "-q", &queue, "--json-lines"];
    for (input, said) in [
        ("{\"body\":\"good\"}\n{\"body\":7}\n", "line 2 of the input"),
        ("{\"body\":\"good\"}\n{\"bdy\":\"x\"}\n", "line 2 of the input: unknown field `bdy`"),
        (
            "{\"body\":\"good\"}\n{\"body_base64\":\"*\"}\n",
            "line 2 of the input: body_base64 is not Base64",
        ),
        ("{\"body\":\"good\"}\n{\"properties\":{\"type\":\"LONG\"}}\n", "line 2 of the input: "),
    ] {
        let ran = broker.run(&arguments, &input.replace("LONG", &"k".repeat(256)));
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.errors.contains(said), "{ran:?}");
    }
    // What came before the broken line was published and confirmed.
    assert_eq!(broker.ready(&queue), 4);
}

fn publish_copies_what_consume_printed(broker: &TestBroker) {
    let (from, to) = (broker.queue(&[]), broker.queue(&[]));
    let record = r#"{"exchange":"","routing_key":"KEY","properties":{"content_type":"text/plain","content_encoding":"identity","message_id":"m1","correlation_id":"c1","reply_to":"r1","expiration":"3600000","type":"t1","app_id":"a1","cluster_id":"x1","timestamp":1700000000,"delivery_mode":2,"priority":3,"headers":{"void":null,"bool":true,"i8":{"!i8":-8},"i16":{"!i16":-16},"i32":-32,"i64":{"!i64":64},"f32":{"!f32":0.5},"f64":0.25,"decimal":{"!decimal":[2,314]},"text":"line\nbreak","bytes":{"!bytes":[0,255]},"time":{"!timestamp":1700000000},"list":[1,"two",[3]],"table":{"inner":{"!u8":8}}}},"body":"caf\u00e9"}"#;
    let record = record.replace("KEY", &from);
    let ran = broker.run(&["publish", "--json-lines"], &record);
    assert_eq!(ran.code, 0, "{ran:?}");
    let printed = broker.ok(&["consume", &from, "--json", "-n", "1"]);
    let published: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), published);
    let ran = broker.run(&["publish", "--json-lines", "-q", &to], &printed);
    assert_eq!(ran.code, 0, "{ran:?}");
    let copied = broker.ok(&["consume", &to, "--json", "-n", "1"]);
    assert_eq!(copied, printed.replace(&from, &to));
}

fn publish_is_ended_by_ctrl_c(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let arguments =
        ["publish", "-q", &queue, "again", "--count", "1000000", "--rate", "20", "--json"];
    let (child, mut output) = start(broker.command(&arguments));
    while broker.ready(&queue) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    interrupt(&child);
    let report: serde_json::Value = serde_json::from_str(&next_line(&mut output)).unwrap();
    let ran = finish(child);
    assert_eq!((ran.code, ran.errors.as_str()), (130, "carrot: interrupted\n"));
    assert_eq!(report["sent"], report["confirmed"]);
    assert_eq!(report["sent"].as_u64(), Some(broker.ready(&queue)));
}

fn publish_at_ctrl_c_sends_the_lines_that_have_come(broker: &TestBroker) {
    const LINES: usize = 2000;
    let queue = broker.queue(&[]);
    let mut command = broker.command(&["publish", "-q", &queue, "--lines", "--rate", "50"]);
    command.stdin(Stdio::piped());
    let (mut child, _output) = start(command);
    // All of it fits in the pipe.
    child.stdin.take().unwrap().write_all("x\n".repeat(LINES).as_bytes()).unwrap();
    while broker.ready(&queue) == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    interrupt(&child);
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(ran.errors.contains("2000 sent: 2000 confirmed"), "{ran:?}");
    assert_eq!(broker.ready(&queue), LINES as u64);
}

fn publish_at_ctrl_c_waits_for_no_input(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let mut command = broker.command(&["publish", "-q", &queue, "--lines", "--json"]);
    command.stdin(Stdio::piped());
    let (mut child, mut output) = start(command);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"x\n").unwrap();
    broker.wait_for_ready(&queue, 1);
    interrupt(&child);
    let ran = finish(child);
    assert_eq!((ran.code, ran.errors.as_str()), (130, "carrot: interrupted\n"));
    assert!(next_line(&mut output).contains(r#""confirmed":1"#));
    drop(input);
}

fn publish_to_no_queue_is_reported_before_the_input_ends(broker: &TestBroker) {
    let mut command = broker.command(&["publish", "-q", &broker.name(), "--lines"]);
    command.stdin(Stdio::piped());
    let (mut child, _output) = start(command);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"x\n").unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut error = String::new();
    errors.read_line(&mut error).unwrap();
    assert!(error.contains("message 1: no queue is named"), "{error}");
    drop(input);
    assert_eq!(finish(child).code, 6);
}

#[test]
fn publish_ended_while_the_broker_blocks_it_does_not_wait() {
    let broker = carrot::memory::Broker::new();
    let server =
        carrot::server::Server::builder(&broker).memory_limit(50_000).bind("127.0.0.1:0").unwrap();
    let url = server.url();
    let mut declare = command(&["declare", "queue", "q"]);
    declare.env("CARROT_URL", &url);
    assert_eq!(run(declare, "").code, 0);
    let mut publish = command(&["publish", "-q", "q", &"x".repeat(1000), "--count", "500"]);
    publish.env("CARROT_URL", &url).args(["--timeout", "300"]);
    let (child, _output) = start(publish);
    until_blocked(&url, "q");
    let started = Instant::now();
    interrupt(&child);
    let ran = finish(child);
    assert!(started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(ran.errors.contains(" unknown\n"), "{ran:?}");
    assert!(!ran.errors.contains(" 0 unknown\n"), "{ran:?}");
    server.stop(LONG).unwrap();
}
