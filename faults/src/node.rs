use std::ffi::OsStr;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use carrot::{
    ConnectionOptions,
    config::{Pem, TlsOptions},
};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::eventually;
use crate::guardian::Guardian;

/// What the harness itself gives: a failure here says nothing of Carrot.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// How long a command of the node may take.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// How long a signal may take to show.
const SIGNAL_WITHIN: Duration = Duration::from_secs(10);
/// How often, every 10 ms, the node looks whether an alarm has changed.
const ALARM_ATTEMPTS: u32 = 1_000;
/// The share of the machine's memory above which RabbitMQ raises its alarm, unless it is told otherwise.
const USUAL_WATERMARK: &str = "0.4";

/// A private RabbitMQ node on the loopback interface, in a temporary folder of its own.
///
/// It ends, and its folder goes, when it is dropped or when this process ends in any way.
#[derive(Debug)]
pub struct Node {
    // Dropped in this order: the guardian stops the node, then the folder goes.
    _guardian: Guardian,
    folder: PathBuf,
    _root: TempDir,
    port: u16,
    tls_port: u16,
}

impl Node {
    /// Starts a node, and waits until it takes connections: some seconds, at most some minutes.
    ///
    /// # Errors
    /// If RabbitMQ is not installed, or does not start.
    pub fn start() -> Result<Node> {
        Node::launch(|folder| vec!["start".into(), folder.into()])
    }

    /// Starts a node that is in one cluster with `other`, and waits until it takes connections. It uses the name service of `other`, so
    /// that one has to be dropped last.
    ///
    /// # Errors
    /// As [`start`](Node::start).
    pub fn join(other: &Node) -> Result<Node> {
        Node::launch(|folder| vec!["join".into(), folder.into(), other.folder.clone()])
    }

    fn launch(arguments: impl FnOnce(&Path) -> Vec<PathBuf>) -> Result<Node> {
        let root = tempfile::Builder::new().prefix("carrot-faults.").tempdir()?;
        let folder = root.path().join("node");
        let guardian =
            Guardian::new(r#""$1" stop "$2"; rm -rf "$3""#, &[&script(), &folder, root.path()])?;
        manage(&arguments(&folder), COMMAND_WITHIN * 5)?;
        let ports = fs::read_to_string(folder.join("ports"))?;
        let ports: Vec<u16> = ports.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [port, tls_port, ..] = ports[..] else {
            return Err("the node does not say its ports".into());
        };
        Ok(Node { _guardian: guardian, folder, _root: root, port, tls_port })
    }

    /// The port of AMQP, on 127.0.0.1; the same for as long as the node is there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of AMQP over TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// How to connect to it, as `guest`.
    pub fn options(&self) -> ConnectionOptions {
        ConnectionOptions::new().host("127.0.0.1").port(self.port)
    }

    /// How to connect to it over TLS, trusting its authority, with no client certificate.
    pub fn tls_options(&self) -> ConnectionOptions {
        let tls = TlsOptions::new().authority(Pem::file(self.file("tls/ca.pem")));
        ConnectionOptions::new().host("localhost").port(self.tls_port).tls(tls)
    }

    /// A URL for it.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// A file of its folder, such as `tls/client.pem` or `rabbitmq.conf`.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Its Erlang name, by which a cluster knows it.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn name(&self) -> Result<String> {
        let settings = fs::read_to_string(self.file("node-env"))?;
        let name = settings
            .lines()
            .find_map(|line| line.strip_prefix("export RABBITMQ_NODENAME='")?.strip_suffix('\''));
        Ok(name.ok_or("the node has no name")?.into())
    }

    /// Kills it with no warning (`kill -9`).
    ///
    /// # Errors
    /// If it is not running.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        match eventually(SIGNAL_WITHIN, || {
            TcpStream::connect(("127.0.0.1", self.port)).is_err() && !self.is_running()
        }) {
            true => Ok(()),
            false => Err("the node did not die".into()),
        }
    }

    /// Starts it again after [`kill`](Node::kill) or [`stop`](Node::stop), with the same ports, data and configuration files, and waits
    /// until it takes connections.
    ///
    /// # Errors
    /// If it is running, or does not start.
    pub fn restart(&self) -> Result<()> {
        manage(&["again".into(), self.folder.clone()], COMMAND_WITHIN * 2).map(drop)
    }

    /// Stops it in order: it says goodbye to its connections.
    ///
    /// # Errors
    /// If it does not stop.
    pub fn stop(&self) -> Result<()> {
        self.control(["stop"])?;
        match eventually(SIGNAL_WITHIN, || !self.is_running()) {
            true => Ok(()),
            false => Err("the node did not stop".into()),
        }
    }

    /// Freezes it (SIGSTOP): its sockets stay open, and nothing answers.
    ///
    /// # Errors
    /// If it is not running.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`freeze`](Node::freeze).
    ///
    /// # Errors
    /// If it is not running.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Raises or clears a memory alarm: while it lasts, connections that publish are blocked. It is in force when this returns.
    ///
    /// # Errors
    /// If the node does not answer.
    pub fn alarm(&self, raised: bool) -> Result<()> {
        let (watermark, unchanged) =
            if raised { ("0.00001", "[] ->") } else { (USUAL_WATERMARK, "[_ | _] ->") };
        // All in one: starting rabbitmqctl takes longer than the rest.
        let told = self.control([
            "eval",
            &format!(
                "vm_memory_monitor:set_vm_memory_high_watermark({watermark}), \
                (fun Wait(0) -> unchanged; Wait(Left) -> case rabbit_alarm:get_alarms() of {unchanged} timer:sleep(10), Wait(Left - 1); \
                _ -> done end end)({ALARM_ATTEMPTS})."
            ),
        ])?;
        if told.trim() == "done" {
            Ok(())
        } else {
            Err(format!("the memory alarm did not change: {told}").into())
        }
    }

    /// Has what was declared written to disk, which a node on a busy machine does some time after it has answered: killed before, it knows
    /// nothing of a durable queue, and confirms and drops what is sent to it.
    ///
    /// Covers both records of a queue. Mnesia has every queue; RabbitMQ 4.3 keeps Khepri in its place, which answers once a declaration is
    /// on disk. Ra has the names of quorum queues, in a file that it writes about a second later, on every release: a quorum queue that is
    /// not in it comes back empty, and on 3.10 without a leader for good.
    ///
    /// # Errors
    /// If the node does not do it.
    pub fn write_declarations(&self) -> Result<()> {
        let mnesia =
            "case catch mnesia:system_info(is_running) of yes -> mnesia:sync_log(); _ -> ok end";
        let written =
            self.control(["eval", &format!("{{{mnesia}, dets:sync(ra_directory_reverse)}}.")])?;
        if written.trim() == "{ok,ok}" {
            Ok(())
        } else {
            Err(format!("declarations are not written to disk: {written}").into())
        }
    }

    /// Runs `rabbitmqctl` with these arguments, and gives what it printed. At most a minute; do not ask a node that is frozen.
    ///
    /// # Errors
    /// If it fails.
    pub fn control<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let mut command = Command::new(self.file("rabbitmqctl"));
        command.arg("-q").args(arguments);
        run(&mut command, COMMAND_WITHIN)
    }

    /// How many messages a queue holds: ready, and given out but not settled.
    ///
    /// # Errors
    /// If there is no such queue, or the node does not answer.
    pub fn messages(&self, queue: &str) -> Result<(u64, u64)> {
        let listed = self.control([
            "list_queues",
            "name",
            "messages_ready",
            "messages_unacknowledged",
            "--formatter",
            "json",
        ])?;
        let listed: serde_json::Value = serde_json::from_str(&listed)?;
        let found = listed.as_array().into_iter().flatten().find(|found| found["name"] == queue);
        let found = found.ok_or_else(|| format!("there is no queue {queue}"))?;
        Ok((
            found["messages_ready"].as_u64().unwrap_or(0),
            found["messages_unacknowledged"].as_u64().unwrap_or(0),
        ))
    }

    /// Whether its process is there, frozen or not.
    pub fn is_running(&self) -> bool {
        let Ok(pid) = self.pid() else { return false };
        let state = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        state.is_ok_and(|stat| {
            stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z'))
        })
    }

    fn pid(&self) -> Result<Pid> {
        let pid = fs::read_to_string(self.file("node.pid")).map_err(|_| "the node was stopped")?;
        pid.trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| "the node's process id is none".into())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.pid()?, signal)
            .map_err(|error| format!("the node is not running: {error}").into())
    }
}

/// `scripts/rabbitmq` of this source tree.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/rabbitmq")
}

fn manage(arguments: &[PathBuf], timeout: Duration) -> Result<String> {
    run(Command::new(script()).args(arguments), timeout)
}

/// Runs a command to its end, with a limit; gives its output, or an error with what it complained of.
fn run(command: &mut Command, timeout: Duration) -> Result<String> {
    let shown = format!("{command:?}");
    let output = finish(command, timeout).map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{shown}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )
        .into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn finish(command: &mut Command, timeout: Duration) -> Result<Output> {
    let out = tempfile::tempfile()?;
    let complaints = tempfile::tempfile()?;
    // Files, not pipes: what the command leaves running would hold a pipe open.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(complaints.try_clone()?)
        .spawn()?;
    let deadline = Instant::now() + timeout;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(format!("not done within {timeout:?}").into());
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ok(Output { status, stdout: read(out)?, stderr: read(complaints)? })
}

fn read(mut file: fs::File) -> Result<Vec<u8>> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
