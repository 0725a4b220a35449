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

use crate::cleanup::CleanupProcess;
use crate::error::Result;
use crate::wait::eventually;

/// The time in which a command of the node has to end.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// The time in which a signal has to take effect.
const SIGNAL_WITHIN: Duration = Duration::from_secs(10);
/// The number of checks, one every 10 ms, whether an alarm has changed.
const ALARM_ATTEMPTS: u32 = 1_000;
/// RabbitMQ's default for the share of the memory above which the node raises its alarm.
const DEFAULT_WATERMARK: &str = "0.4";

/// A private RabbitMQ node on the loopback interface, in a temporary folder of its own.
///
/// The node ends and its folder is deleted when this value is dropped, or when this process ends
/// for any reason.
#[derive(Debug)]
pub struct BrokerNode {
    // Dropped in this order: the clean-up process stops the node before the folder is deleted.
    _guardian: CleanupProcess,
    folder: PathBuf,
    _root: TempDir,
    port: u16,
    tls_port: u16,
}

impl BrokerNode {
    /// Starts a node, and blocks until the node accepts connections, for at most five minutes.
    ///
    /// # Errors
    /// If RabbitMQ is not installed, or does not start.
    pub fn start() -> Result<BrokerNode> {
        BrokerNode::launch(|folder| vec!["start".into(), folder.into()])
    }

    /// Starts a node in the cluster of `other`, and blocks until the node accepts connections.
    ///
    /// The node uses the name service of `other`. Drop `other` last.
    ///
    /// # Errors
    /// The errors of [`start`](BrokerNode::start).
    pub fn join(other: &BrokerNode) -> Result<BrokerNode> {
        BrokerNode::launch(|folder| vec!["join".into(), folder.into(), other.folder.clone()])
    }

    fn launch(arguments: impl FnOnce(&Path) -> Vec<PathBuf>) -> Result<BrokerNode> {
        let root = tempfile::Builder::new().prefix("carrot-faults.").tempdir()?;
        let folder = root.path().join("node");
        let cleanup = CleanupProcess::new(
            r#""$1" stop "$2"; rm -rf "$3""#,
            &[&script(), &folder, root.path()],
        )?;
        manage(&arguments(&folder), COMMAND_WITHIN * 5)?;
        let ports = fs::read_to_string(folder.join("ports"))?;
        let ports: Vec<u16> = ports.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [port, tls_port, ..] = ports[..] else {
            return Err("the file of the node's ports is incomplete".into());
        };
        Ok(BrokerNode { _guardian: cleanup, folder, _root: root, port, tls_port })
    }

    /// Returns the AMQP port on 127.0.0.1. The port does not change with a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the port of AMQP over TLS.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// Returns the options to connect to the node, as `guest`.
    pub fn options(&self) -> ConnectionOptions {
        ConnectionOptions::new().host("127.0.0.1").port(self.port)
    }

    /// Returns the options to connect to the node over TLS, without a client certificate. The
    /// options trust the certificate authority of the node.
    pub fn tls_options(&self) -> ConnectionOptions {
        let tls = TlsOptions::new().authority(Pem::file(self.file("tls/ca.pem")));
        ConnectionOptions::new().host("localhost").port(self.tls_port).tls(tls)
    }

    /// Returns a URL of the node.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Returns the path of a file in the folder of the node, such as `tls/client.pem` or
    /// `rabbitmq.conf`.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Returns the Erlang name, which identifies the node in its cluster.
    ///
    /// # Errors
    /// If the settings of the node cannot be read.
    pub fn name(&self) -> Result<String> {
        let settings = fs::read_to_string(self.file("node-env"))?;
        let name = settings
            .lines()
            .find_map(|line| line.strip_prefix("export RABBITMQ_NODENAME='")?.strip_suffix('\''));
        Ok(name.ok_or("the node has no name")?.into())
    }

    /// Returns the first two numbers of the node's release of RabbitMQ, such as (4, 3).
    ///
    /// # Errors
    /// If the settings of the node do not name the release.
    pub fn release(&self) -> Result<(u32, u32)> {
        let settings = fs::read_to_string(self.file("env"))?;
        let version = settings.lines().find_map(|line| {
            line.strip_prefix("export CARROT_TEST_RABBITMQ_VERSION='")?.strip_suffix('\'')
        });
        let mut numbers =
            version.ok_or("the release of the node is unknown")?.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
            _ => Err("the release of the node is not a number".into()),
        }
    }

    /// Kills the node without a warning (`kill -9`).
    ///
    /// # Errors
    /// If the node is not running.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        match eventually(SIGNAL_WITHIN, || {
            TcpStream::connect(("127.0.0.1", self.port)).is_err() && !self.is_running()
        }) {
            true => Ok(()),
            false => Err("the node did not die".into()),
        }
    }

    /// Starts the node after [`kill`](BrokerNode::kill) or [`stop`](BrokerNode::stop), with the
    /// same ports, data and configuration files. Blocks until the node accepts connections.
    ///
    /// # Errors
    /// If the node is running, or does not start.
    pub fn restart(&self) -> Result<()> {
        manage(&["again".into(), self.folder.clone()], COMMAND_WITHIN * 2).map(drop)
    }

    /// Stops the node gracefully: the node closes its connections.
    ///
    /// # Errors
    /// If the node does not stop.
    pub fn stop(&self) -> Result<()> {
        self.control(["stop"])?;
        match eventually(SIGNAL_WITHIN, || !self.is_running()) {
            true => Ok(()),
            false => Err("the node did not stop".into()),
        }
    }

    /// Freezes the node (SIGSTOP). Its sockets stay open, and it does not respond.
    ///
    /// # Errors
    /// If the node is not running.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Continues the node after [`freeze`](BrokerNode::freeze).
    ///
    /// # Errors
    /// If the node is not running.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Raises or clears a memory alarm, and blocks until the change is in force. The node blocks
    /// connections that publish during the alarm.
    ///
    /// # Errors
    /// If the node does not respond.
    pub fn alarm(&self, raised: bool) -> Result<()> {
        let (watermark, unchanged) =
            if raised { ("0.00001", "[] ->") } else { (DEFAULT_WATERMARK, "[_ | _] ->") };
        // One command does both steps, because starting rabbitmqctl takes longest.
        let printed = self.control([
            "eval",
            &format!(
                "vm_memory_monitor:set_vm_memory_high_watermark({watermark}), \
                (fun Wait(0) -> unchanged; Wait(Left) -> case rabbit_alarm:get_alarms() of {unchanged} timer:sleep(10), Wait(Left - 1); \
                _ -> done end end)({ALARM_ATTEMPTS})."
            ),
        ])?;
        if printed.trim() == "done" {
            Ok(())
        } else {
            Err(format!("the memory alarm did not change: {printed}").into())
        }
    }

    /// Writes all declarations to disk.
    ///
    /// A node on a busy machine writes a declaration after its response. A node that is killed
    /// before the write loses a durable queue, and then confirms and drops messages for the queue.
    ///
    /// Covers both records of a queue. Mnesia has every queue. RabbitMQ 4.3 uses Khepri instead,
    /// which responds once a declaration is on disk. Ra has the names of quorum queues in a file
    /// that it writes about a second later, on every release. A quorum queue that is not in this
    /// file is empty after a restart, and never has a leader again on 3.10.
    ///
    /// # Errors
    /// If the node does not write them.
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

    /// Runs `rabbitmqctl` with these arguments, and returns its output. Blocks for at most a
    /// minute. A frozen node does not respond.
    ///
    /// # Errors
    /// If the command fails.
    pub fn control<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<String> {
        let mut command = Command::new(self.file("rabbitmqctl"));
        command.arg("-q").args(arguments);
        run(&mut command, COMMAND_WITHIN)
    }

    /// Returns the number of ready and of unacknowledged messages of a queue.
    ///
    /// # Errors
    /// If the queue does not exist, or the node does not respond.
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
        let found = found.ok_or_else(|| format!("queue \"{queue}\" does not exist"))?;
        Ok((
            found["messages_ready"].as_u64().unwrap_or(0),
            found["messages_unacknowledged"].as_u64().unwrap_or(0),
        ))
    }

    /// Returns whether the process of the node exists, frozen or not.
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
            .ok_or_else(|| "the process id of the node is invalid".into())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.pid()?, signal)
            .map_err(|error| format!("the node is not running: {error}").into())
    }
}

/// Returns the path of `scripts/rabbitmq`.
fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/rabbitmq")
}

fn manage(arguments: &[PathBuf], timeout: Duration) -> Result<String> {
    run(Command::new(script()).args(arguments), timeout)
}

/// Runs a command for at most `timeout`, and returns its output. An error contains the text that
/// the command wrote to its standard error.
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
    let errors = tempfile::tempfile()?;
    // Files, not pipes: a process that the command leaves running would hold a pipe open.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()?;
    let deadline = Instant::now() + timeout;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(format!("did not end within {timeout:?}").into());
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ok(Output { status, stdout: read(out)?, stderr: read(errors)? })
}

fn read(mut file: fs::File) -> Result<Vec<u8>> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
