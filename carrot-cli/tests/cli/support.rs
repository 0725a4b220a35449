//! The command as a child process, and the brokers that it is tried on.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The longest time for something that must happen. Machines of tests are slow.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A broker, which ends with this value if the test has started it.
pub(crate) struct TestBroker {
    host: Option<Child>,
    pub(crate) url: String,
    queues: AtomicU32,
}

impl TestBroker {
    /// Hosts a broker with `carrot serve`.
    pub(crate) fn hosted(protocol: &str) -> TestBroker {
        let mut host = command(&["serve", &format!("--{protocol}"), "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.contains("://127.0.0.1:"), "{url:?}");
        TestBroker { host: Some(host), url: url.trim().into(), queues: AtomicU32::new(0) }
    }

    /// The RabbitMQ that ./scripts/test has started.
    pub(crate) fn rabbitmq() -> TestBroker {
        let url = std::env::var("CARROT_TEST_AMQP_URL")
            .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one");
        TestBroker::at(url)
    }

    /// A broker that the test has not started.
    pub(crate) fn at(url: String) -> TestBroker {
        TestBroker { host: None, url, queues: AtomicU32::new(0) }
    }

    /// Hosts a broker with `carrot serve` at the address of one that has ended.
    pub(crate) fn hosted_again(&mut self) {
        let (protocol, address) = self.url.split_once("://").unwrap();
        let mut host = command(&["serve", &format!("--{protocol}"), address])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert_eq!(url.trim(), self.url);
        self.host = Some(host);
    }

    /// Sends a signal to a broker that the test has started.
    pub(crate) fn signal(&self, name: &str) {
        let host = self.host.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &host]).status().unwrap().success());
    }

    /// Kills a broker that the test has started.
    pub(crate) fn kill(&mut self) {
        let mut host = self.host.take().unwrap();
        host.kill().unwrap();
        host.wait().unwrap();
    }

    /// Returns a new name.
    pub(crate) fn name(&self) -> String {
        let number = self.queues.fetch_add(1, Ordering::Relaxed);
        let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        format!("cli-{}-{time}-{number}", std::process::id())
    }

    /// Declares a new queue.
    pub(crate) fn queue(&self, arguments: &[&str]) -> String {
        let name = self.name();
        self.ok(&[&["declare", "queue", &name], arguments].concat());
        name
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("CARROT_URL", &self.url);
        command
    }

    /// Runs the command with an input, and returns what it printed.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Ran {
        run(self.command(arguments), input)
    }

    /// Runs the command, which has to succeed. Returns its output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments, "");
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.output
    }

    pub(crate) fn ready(&self, queue: &str) -> u64 {
        let line = self.ok(&["count", queue, "--json"]);
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        entry["ready"].as_u64().unwrap()
    }

    /// Waits until this number of messages is ready.
    pub(crate) fn wait_for_ready(&self, queue: &str, ready: u64) {
        let deadline = Instant::now() + LONG;
        loop {
            let now = self.ready(queue);
            if now == ready {
                return;
            }
            assert!(Instant::now() < deadline, "{now} are ready and not {ready}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        if let Some(host) = &mut self.host {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

/// The output of a command, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrot"));
    for variable in [
        "CARROT_URL",
        "CARROT_MANAGEMENT",
        "CARROT_CONTROL",
        "CARROT_CONTROL_TOKEN",
        "AMQP_SERVER",
        "AMQP_HOST",
        "AMQP_PORT",
        "AMQP_VHOST",
    ] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn run(mut command: Command, input: &str) -> Ran {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // The command may end without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    finish(child)
}

/// Waits for the end of a command.
pub(crate) fn finish(mut child: Child) -> Ran {
    let deadline = Instant::now() + LONG;
    let output = child.stdout.take().map(read_all);
    let errors = child.stderr.take().map(read_all);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the command did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |reader: Option<std::thread::JoinHandle<Vec<u8>>>| {
        reader.map(|reader| reader.join().unwrap()).unwrap_or_default()
    };
    Output { status, stdout: text(output), stderr: text(errors) }.into()
}

fn read_all(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut octets = Vec::new();
        let _ = from.read_to_end(&mut octets);
        octets
    })
}

/// Starts a command whose output is read line by line.
pub(crate) fn start(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

pub(crate) fn next_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_string()
}

/// Waits until the number of ready messages of a queue no longer changes.
pub(crate) fn until_blocked(url: &str, queue: &str) {
    let deadline = Instant::now() + LONG;
    let (mut before, mut same) = (String::new(), 0);
    while same < 5 {
        let mut count = command(&["count", queue, "--json"]);
        count.env("CARROT_URL", url);
        let now = run(count, "").output;
        same = if now == before && !now.contains(r#""ready":0"#) { same + 1 } else { 0 };
        before = now;
        assert!(Instant::now() < deadline, "publishing is not blocked: {before}");
    }
}

/// Sends the signal of Ctrl-C.
pub(crate) fn interrupt(child: &Child) {
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// Defines a test on a broker hosted over AMQP, one on a broker hosted over ZeroMQ, and one on
/// RabbitMQ.
macro_rules! on_each_broker {
    ($($name:ident)*) => {$(
        mod $name {
            use crate::support::TestBroker;

            #[test]
            fn over_amqp() {
                super::$name(&TestBroker::hosted("amqp"));
            }

            #[test]
            fn over_zeromq() {
                super::$name(&TestBroker::hosted("zeromq"));
            }

            #[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn on_rabbitmq() {
                super::$name(&TestBroker::rabbitmq());
            }
        }
    )*};
}
pub(crate) use on_each_broker;
