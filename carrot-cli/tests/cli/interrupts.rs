//! Ctrl-C at inconvenient times.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{LONG, TestBroker, command, finish, next_line, on_each_broker, start};

on_each_broker! {
    ctrl_c_requeues_the_message_whose_command_it_ends
    two_signals_at_once_are_one
    blocked_output_of_peek_holds_no_messages
}

/// Sends a signal to a process, or to a process group for a number with a minus.
fn signal(name: &str, targets: &[String]) {
    let killed = Command::new("kill").arg(name).arg("--").args(targets).status().unwrap();
    assert!(killed.success());
}

fn first_error(child: &mut Child) -> (String, BufReader<impl Read + use<>>) {
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    (line.trim_end().into(), errors)
}

fn ctrl_c_requeues_the_message_whose_command_it_ends(broker: &TestBroker) {
    for how in ["reject", "requeue", "stop"] {
        let queue = broker.queue(&[]);
        broker.ok(&["publish", "-q", &queue, "x"]);
        let arguments = ["consume", &queue, "--follow", "--on-failure", how];
        let script = ["--", "sh", "-c", "echo started; exec sleep 300"];
        let mut consume = broker.command(&[&arguments[..], &script].concat());
        consume.process_group(0);
        let (child, mut output) = start(consume);
        assert_eq!(next_line(&mut output), "started");
        signal("-INT", &[format!("-{}", child.id())]);
        let ran = finish(child);
        assert_eq!(ran.errors, "carrot: interrupted after 0 messages\n", "{how}");
        assert_eq!(ran.code, 130, "{how}");
        broker.wait_for_ready(&queue, 1);
    }
}

fn two_signals_at_once_are_one(broker: &TestBroker) {
    let mut bench = broker.command(&["bench", "-n", "100000000", "--rate", "1000", "--json"]);
    let mut child = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (line, mut errors) = first_error(&mut child);
    let queue = line.strip_prefix("carrot: the queue is ").unwrap();
    // One call, which sends both at once.
    signal("-TERM", &[child.id().to_string(), child.id().to_string()]);
    signal("-INT", &[child.id().to_string()]);
    let ran = finish(child);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(ran.code, 130, "{ran:?}: {rest}");
    assert!(ran.output.contains(r#""published":"#), "{ran:?}: {rest}");
    assert_eq!(broker.run(&["count", queue], "").code, 5);
}

fn blocked_output_of_peek_holds_no_messages(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let body = "x".repeat(1000);
    let publish = ["publish", "-q", &queue, &body, "--count", "1000"];
    broker.ok(&publish);
    let (child, mut output) = start(broker.command(&["peek", &queue, "-n", "1000"]));
    // The pipe holds 64 KiB.
    assert!(next_line(&mut output).starts_with("the default exchange"));
    broker.wait_for_ready(&queue, 1000);
    drop(output);
    assert_eq!(finish(child).code, 1);
    assert_eq!(broker.ok(&["peek", &queue, "-n", "0"]), "");
}

#[test]
fn one_signal_ends_a_command_that_connects() {
    for arguments in [
        &["consume", "q"][..],
        &["publish", "-q", "q", "x"],
        &["top", "q"],
        &["move", "q", "--to", "r"],
        &["peek", "q"],
        &["bench"],
    ] {
        // Accepts connections, and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut silent = command(arguments);
        let url = format!("amqp://{}", listener.local_addr().unwrap());
        silent.env("CARROT_URL", url).args(["--timeout", "600"]);
        let (child, _output) = start(silent);
        let _accepted = listener.accept().unwrap();
        let started = Instant::now();
        signal("-INT", &[child.id().to_string()]);
        let ran = finish(child);
        assert!(started.elapsed() < LONG / 2, "{arguments:?}");
        let ended = (ran.code, ran.errors.as_str());
        assert_eq!(ended, (130, "carrot: interrupted\n"), "{arguments:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn publish_that_waits_for_its_input_does_not_blame_the_broker() {
    let broker = TestBroker::hosted("amqp");
    let queue = broker.queue(&[]);
    let mut publish = broker.command(&["publish", "-q", &queue]);
    publish.stdin(Stdio::piped());
    let (mut child, _output) = start(publish);
    let input = child.stdin.take();
    // The thread starts once the command has connected, and reads the body.
    let deadline = Instant::now() + LONG;
    while !has_thread(&child, "carrot-publish") {
        assert!(Instant::now() < deadline, "the command does not publish");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    signal("-INT", &[child.id().to_string()]);
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    assert!(ran.errors.ends_with("carrot: interrupted\n"), "{ran:?}");
    drop(input);
}

#[cfg(target_os = "linux")]
fn has_thread(child: &Child, name: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let names = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("comm")));
    names.flatten().any(|found| found.trim() == name)
}
