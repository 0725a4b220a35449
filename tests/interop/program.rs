use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use carrot::ConnectionOptions;
use carrot::config::Credentials;

use crate::support::SOON;

/// A running program in another language. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts a program of `tests/interop/python`.
    pub(crate) fn python(name: &str, url: &str, arguments: &[&str]) -> Program {
        Program::start(&mut python(), &format!("interop/python/{name}.py"), url, arguments)
    }

    /// Starts a program of `examples/zeromq_python`.
    pub(crate) fn zeromq_example(name: &str, url: &str, arguments: &[&str]) -> Program {
        let file = format!("../examples/zeromq_python/{name}.py");
        Program::start(&mut python(), &file, url, arguments)
    }

    pub(crate) fn node(name: &str, url: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(interpreter("CARROT_TEST_NODE"));
        Program::start(&mut command, &format!("interop/node/{name}.js"), url, arguments)
    }

    /// Starts the JMS client of `tests/interop/java`. The environment has the password, because
    /// every user of the machine can list arguments.
    pub(crate) fn java(options: &ConnectionOptions, arguments: &[&str]) -> Program {
        let (host, port) = options.addresses().next().unwrap();
        let Credentials::Plain { user, password } = &options.credentials else {
            panic!("a user and a password are needed")
        };
        let mut command = Command::new(interpreter("CARROT_TEST_JAVA"));
        command.arg("JmsClient").env("JMS_PASSWORD", password.reveal());
        Program::spawn(&mut command, &format!("activemq://{user}@{host}:{port}"), arguments)
    }

    fn start(command: &mut Command, name: &str, url: &str, arguments: &[&str]) -> Program {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        Program::spawn(command.arg(file), url, arguments)
    }

    fn spawn(command: &mut Command, url: &str, arguments: &[&str]) -> Program {
        let mut child = command
            .arg(url)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Program { child, lines }
    }

    /// Returns the next line that the program prints.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.line_within(SOON)
    }

    /// Returns the next line that the program prints within this time.
    #[track_caller]
    pub(crate) fn line_within(&self, timeout: Duration) -> String {
        self.lines.recv_timeout(timeout).expect("a line of the program")
    }

    /// Waits until the program has ended, and prints nothing more.
    #[track_caller]
    pub(crate) fn expect_end(&self) {
        assert_eq!(self.lines.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    }

    /// Waits until the program prints a line.
    #[track_caller]
    pub(crate) fn expect(&self, line: &str) {
        assert_eq!(self.line(), line);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Command {
    let mut command = Command::new(interpreter("CARROT_TEST_PYTHON"));
    command.args(["-u", "-B"]).env("PYTHONIOENCODING", "utf-8").env("PYTHONWARNINGS", "ignore");
    command
}

pub(crate) fn interpreter(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} has to name an interpreter with the clients; ./scripts/test installs one"
        )
    })
}

fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
