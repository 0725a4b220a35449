use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, thread};

use carrot::memory::Broker;
use carrot::topology::DeleteIf;
use carrot::zeromq::BrokerHost;
use carrot::{Connection, Queue};
pub(crate) use carrot_faults::unique;
use carrot_server::Server;

/// Long enough for each expected event on a slow machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) fn rabbitmq_url() -> String {
    std::env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one")
}

pub(crate) fn activemq_url() -> String {
    std::env::var("CARROT_TEST_ACTIVEMQ_URL")
        .expect("CARROT_TEST_ACTIVEMQ_URL has to name a broker; ./scripts/test starts one")
}

/// Starts Carrot's server for one test. The processes of a test connect to its port.
pub(crate) fn server() -> Server {
    Server::bind("127.0.0.1:0", &Broker::new()).unwrap()
}

/// Starts a ZeroMQ host for one test. The processes of a test connect to its port.
pub(crate) fn host() -> BrokerHost {
    BrokerHost::bind("127.0.0.1:0", &Broker::new()).unwrap()
}

/// Turns each function into a test on the memory broker, one on Carrot's server, one on a ZeroMQ
/// host, one on RabbitMQ, and one on ActiveMQ. `$broker` is a URL.
macro_rules! on_both_backends {
    ($(fn $name:ident($broker:ident: &str) $body:block)*) => {
        $(fn $name($broker: &str) $body)*

        mod memory {
            $(#[test]
            fn $name() {
                super::$name(&format!("memory://{}", $crate::support::unique("broker")));
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                super::$name(&$crate::support::server().url());
            })*
        }

        mod zeromq {
            $(#[test]
            fn $name() {
                super::$name(&$crate::support::host().url());
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name(&$crate::support::rabbitmq_url());
            })*
        }

        mod activemq {
            $(#[test]
            #[ignore = "needs ActiveMQ: run ./scripts/test"]
            fn $name() {
                super::$name(&$crate::support::activemq_url());
            })*
        }
    };
}

/// Turns each function into a test on Carrot's server, one on a ZeroMQ host, and one on RabbitMQ.
/// `$broker` is a URL.
macro_rules! on_brokers_with_quorum_queues {
    ($(fn $name:ident($broker:ident: &str) $body:block)*) => {
        $(fn $name($broker: &str) $body)*

        mod remote {
            mod server {
                $(#[test]
                fn $name() {
                    super::super::$name(&$crate::support::server().url());
                })*
            }

            mod zeromq {
                $(#[test]
                fn $name() {
                    super::super::$name(&$crate::support::host().url());
                })*
            }

            mod rabbitmq {
                $(#[test]
                #[ignore = "needs RabbitMQ: run ./scripts/test"]
                fn $name() {
                    super::super::$name(&$crate::support::rabbitmq_url());
                })*
            }
        }
    };
}

/// Turns each function into a test on each broker with quorum queues, and one on ActiveMQ.
macro_rules! on_remote_brokers {
    ($(fn $name:ident($broker:ident: &str) $body:block)*) => {
        on_brokers_with_quorum_queues! {
            $(fn $name($broker: &str) $body)*
        }

        mod openwire {
            mod activemq {
                $(#[test]
                #[ignore = "needs ActiveMQ: run ./scripts/test"]
                fn $name() {
                    super::super::$name(&$crate::support::activemq_url());
                })*
            }
        }
    };
}

/// Waits until `condition` holds, at most for `SOON`.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(carrot_faults::eventually(SOON, condition), "{what} did not happen in {SOON:?}");
}

/// The number of ready messages.
pub(crate) fn ready(connection: &Connection, queue: &str) -> u32 {
    connection.declare_queue(Queue::existing(queue)).unwrap().message_count
}

/// Deletes queues when it is dropped, also after a failed test.
pub(crate) struct Queues {
    pub(crate) connection: Connection,
    pub(crate) names: Vec<String>,
}

impl Drop for Queues {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = self.connection.delete_queue(name, DeleteIf::ALWAYS);
        }
    }
}

/// One of the programs, as a process of its own.
pub(crate) struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    printed: Vec<String>,
    reading: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts the program at this path, and waits until it prints a line that contains `ready`.
    #[track_caller]
    pub(crate) fn start(path: &str, url: &str, arguments: &[&str], ready: &str) -> Program {
        let mut command = Command::new(path);
        command.args(arguments).env("CARROT_URL", url).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reading = thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut program = Program { child, lines, printed: Vec::new(), reading: Some(reading) };
        program.line(ready);
        program
    }

    /// Waits for a line that contains `text`, and returns it.
    #[track_caller]
    pub(crate) fn line(&mut self, text: &str) -> String {
        if let Some(line) = self.printed.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no line {text:?}: {:?}", self.printed));
            self.printed.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Ends the process as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM, and waits for the end. Returns the output.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut status: Option<ExitStatus> = None;
        eventually("the end of the program", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.reading.take().unwrap().join().unwrap();
        self.printed.extend(self.lines.try_iter());
        let printed = self.printed.join("\n");
        assert!(status.unwrap().success(), "{status:?}: {printed}");
        printed
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, and returns its output.
#[track_caller]
pub(crate) fn run(path: &str, url: &str, arguments: &[&str]) -> String {
    let output = Command::new(path).args(arguments).env("CARROT_URL", url).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Sends a request of HTTP, and returns the status and the body of its answer.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok((status.ok_or_else(|| io::Error::other(answer.clone()))?, body.to_string()))
}
