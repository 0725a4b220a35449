//! A host in a process of its own: this test binary, started again.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;
use carrot_faults::{eventually, unique};

/// Long enough for any expected event on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// Where the process listens: `tcp HOST:PORT` or `ipc PATH`.
const PLACE: &str = "CARROT_TEST_HOST_PLACE";
const HELPER: &str = "process::host_process_serves_until_its_input_ends";

/// A host in a process of its own, which can be started again at the same address.
pub struct HostProcess {
    place: String,
    pub url: String,
    child: Option<(Child, ChildStdin)>,
    /// The folder of the socket.
    folder: Option<PathBuf>,
}

impl HostProcess {
    /// Starts a host at a port of the loopback interface.
    pub fn on_tcp() -> HostProcess {
        // Below the ports that the system gives to clients: one of those might get the port while
        // the host is away.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let mut port = 10_000 + (now / 7 + std::process::id()) % 20_000;
        while std::net::TcpListener::bind(("127.0.0.1", port as u16)).is_err() {
            port += 1;
        }
        HostProcess::at(format!("tcp 127.0.0.1:{port}"), format!("zmq://127.0.0.1:{port}"), None)
    }

    /// Starts a host at a socket of the file system.
    pub fn on_ipc() -> HostProcess {
        let folder = std::env::temp_dir().join(unique("host"));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("carrot.sock");
        let (place, url) =
            (format!("ipc {}", path.display()), format!("zmq+ipc://{}", path.display()));
        HostProcess::at(place, url, Some(folder))
    }

    fn at(place: String, url: String, folder: Option<PathBuf>) -> HostProcess {
        let mut host = HostProcess { place, url, child: None, folder };
        host.start();
        host
    }

    /// Starts the process, and waits until it listens.
    pub fn start(&mut self) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", HELPER, "--include-ignored", "--nocapture"])
            .env(PLACE, &self.place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The helper ends with its input, also if this process is killed.
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        self.child = Some((child, input));
        lines.find(|line| line.contains("the host listens")).expect("the host did not start");
        // The test harness of the child prints more only if it fails.
    }

    /// Kills the process (`kill -9`), and waits for its end.
    pub fn kill(&mut self) {
        let (mut child, _input) = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops the process, which then neither reads nor writes.
    pub fn freeze(&self) {
        self.signal("-STOP");
        // The signal stops one thread after the other.
        let (child, _) = self.child.as_ref().unwrap();
        assert!(eventually(SOON, || are_threads_stopped(child.id())), "the host still runs");
    }

    /// Continues the process.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let (child, _) = self.child.as_ref().unwrap();
        let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.unwrap().success(), "kill {signal}");
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Returns whether all threads of a process are stopped. Returns `true` where the system has no
/// /proc.
fn are_threads_stopped(process: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return true };
    let stats = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("stat")));
    // The state follows the name of the thread, which is in brackets.
    stats.flatten().all(|stat| stat.rsplit_once(')').is_some_and(|rest| rest.1.starts_with(" T")))
}

/// The other tests start this test as a process.
#[test]
#[ignore = "part of another test"]
fn host_process_serves_until_its_input_ends() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let (kind, address) = place.split_once(' ').unwrap();
    let broker = Broker::new();
    let deadline = Instant::now() + SOON;
    let _host = loop {
        let host = match kind {
            "tcp" => BrokerHost::bind(address, &broker),
            _ => BrokerHost::builder(&broker).bind_path(address),
        };
        match host {
            Ok(host) => break host,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    println!("\nthe host listens");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
