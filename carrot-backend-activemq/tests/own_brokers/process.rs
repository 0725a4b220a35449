//! A broker of one test, from `scripts/activemq`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use carrot::ConnectionOptions;
use carrot_faults::{eventually, unique};

/// Long enough for any expected event on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A broker in a folder of its own, which can be killed and started again at the same ports.
pub(crate) struct OwnBroker {
    folder: PathBuf,
    variables: HashMap<String, String>,
}

impl OwnBroker {
    /// Starts a broker with these arguments of `scripts/activemq`, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> OwnBroker {
        let folder = std::env::temp_dir().join(unique("activemq"));
        let mut broker = OwnBroker { folder, variables: HashMap::new() };
        let printed = broker.script("start", arguments);
        let lines =
            printed.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        let unquoted = |(name, value): (&str, &str)| (name.into(), value.trim_matches('\'').into());
        broker.variables = lines.map(unquoted).collect();
        broker
    }

    /// Runs a command of the script on the folder of the broker. Returns what it prints.
    fn script(&self, command: &str, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/activemq");
        let output = Command::new(script)
            .arg(command)
            .args(arguments)
            .arg(&self.folder)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    pub(crate) fn options(&self) -> ConnectionOptions {
        self.variable("CARROT_TEST_ACTIVEMQ_URL").parse().unwrap()
    }

    /// Kills the process (`kill -9`).
    pub(crate) fn kill(&self) {
        self.script("kill", &[]);
    }

    /// Starts the broker again, with the data that it has left.
    pub(crate) fn restart(&self) {
        self.script("restart", &[]);
    }

    /// Returns the user who may use few queues.
    pub(crate) fn limited_options(&self) -> ConnectionOptions {
        self.variable("CARROT_TEST_ACTIVEMQ_LIMITED_URL").parse().unwrap()
    }

    /// Starts the broker again with an option of its port without TLS.
    pub(crate) fn configure_port(&self, option: &str) {
        let port = self.options().addresses().next().unwrap().1;
        let address = format!("tcp://127.0.0.1:{port}");
        self.configure(&address, &format!("{address}?{option}"));
    }

    /// Starts the broker again with a limit of the memory for the messages of a queue. No message
    /// of the queue moves from memory to a file.
    pub(crate) fn limit_queue(&self, queue: &str, bytes: usize) {
        let entry = "<policyEntries>";
        let limited = format!(
            r#"{entry}<policyEntry queue="{queue}" memoryLimit="{bytes}">
              <pendingQueuePolicy><vmQueueCursor/></pendingQueuePolicy>
            </policyEntry>"#
        );
        self.configure(entry, &limited);
    }

    /// Starts the broker again with another text in its configuration.
    pub(crate) fn configure(&self, present: &str, text: &str) {
        let path = self.folder.join("conf/activemq.xml");
        let configuration = fs::read_to_string(&path).unwrap();
        assert!(configuration.contains(present), "no {present} in the configuration");
        fs::write(path, configuration.replace(present, text)).unwrap();
        self.restart();
    }

    /// Stops the process, which then neither reads nor writes.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
        let process = self.process();
        assert!(eventually(SOON, || are_threads_stopped(&process)), "the broker still runs");
    }

    /// Continues the process.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process()]).status();
        assert!(status.unwrap().success(), "kill {signal}");
    }

    fn process(&self) -> String {
        let path = self.variable("CARROT_TEST_ACTIVEMQ_PID_FILE");
        fs::read_to_string(path).unwrap().trim().into()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.script("kill", &[]);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns whether all threads of a process are stopped. Returns `true` where the system has no
/// /proc.
fn are_threads_stopped(process: &str) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    let states = tasks.flatten().map(|task| fs::read_to_string(task.path().join("stat")));
    // The state follows the name of the thread, which is in brackets.
    states.flatten().all(|stat| stat.rsplit_once(')').is_some_and(|rest| rest.1.starts_with(" T")))
}
