//! Brokers with a control interface.

use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};

use carrot::memory::Broker;
use carrot::server::Server;

use crate::listings::entries;
use crate::support::{Ran, command, next_line, run, start};

/// `carrot serve` with a control interface, in a process of its own.
pub(crate) struct ControlledBroker {
    pub(crate) host: Child,
    pub(crate) url: String,
    pub(crate) control: String,
    folder: tempfile::TempDir,
    names: AtomicU32,
}

impl ControlledBroker {
    pub(crate) fn hosted(protocol: &str) -> ControlledBroker {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let arguments = ["serve", &format!("--{protocol}"), "127.0.0.1:0"];
        let control = ["--control", "127.0.0.1:0", "--control-token-file", file.to_str().unwrap()];
        let (host, mut output) = start(command(&[&arguments[..], &control].concat()));
        let (url, control) = (next_line(&mut output), next_line(&mut output));
        assert!(control.starts_with("http://127.0.0.1:") && control.ends_with("/v1"), "{control}");
        ControlledBroker { host, url, control, folder, names: AtomicU32::new(0) }
    }

    /// The file of the token.
    pub(crate) fn token_file(&self) -> String {
        self.folder.path().join("token").to_str().unwrap().into()
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.token_file()).unwrap().trim_end().into()
    }

    pub(crate) fn name(&self) -> String {
        format!("q{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A command that knows the broker, its interface and the token.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command(arguments);
        command.env("CARROT_URL", &self.url);
        command.env("CARROT_CONTROL", &self.control).env("CARROT_CONTROL_TOKEN", self.token());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments), "")
    }

    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.output
    }

    pub(crate) fn list(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        entries(&self.ok(&[&["list", "--json"], arguments].concat()))
    }
}

impl Drop for ControlledBroker {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

/// A server in this process, with a second virtual host.
pub(crate) struct TwoVhosts {
    pub(crate) server: Server,
    pub(crate) blue: Broker,
    pub(crate) green: Broker,
}

impl TwoVhosts {
    pub(crate) fn new() -> TwoVhosts {
        let (blue, green) = (Broker::new(), Broker::new());
        let server = Server::builder(&blue).vhost("green", &green).control("127.0.0.1:0");
        TwoVhosts { server: server.bind("127.0.0.1:0").unwrap(), blue, green }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let control = self.server.control().unwrap();
        let mut command = command(arguments);
        command.env("CARROT_URL", format!("amqp://{}", self.server.address()));
        command.env("CARROT_CONTROL", control.url()).env("CARROT_CONTROL_TOKEN", control.token());
        run(command, "")
    }
}
