//! Clients in Python. `./scripts/python` installs them.

mod pika;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Long enough for a program to start and to answer.
const SOON: Duration = Duration::from_secs(30);

/// The URL of the broker.
fn url() -> String {
    std::env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one")
}

/// A name that no other test and no other run uses.
fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("carrot-interop-{name}-{}-{}", std::process::id(), now.as_nanos())
}

/// A running program of `tests/interop/python`. Killed when dropped.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts a program with the URL of the broker, and further arguments.
    fn start(name: &str, arguments: &[&str]) -> Program {
        let python = std::env::var("CARROT_TEST_PYTHON")
            .expect("CARROT_TEST_PYTHON has to name an interpreter; ./scripts/test installs one");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/python");
        let mut child = Command::new(python)
            .arg("-u")
            .arg(folder.join(name))
            .arg(url())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Program { child, lines }
    }

    /// Returns the next line that the program prints.
    #[track_caller]
    fn line(&self) -> String {
        self.lines.recv_timeout(SOON).expect("a line of the program")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
