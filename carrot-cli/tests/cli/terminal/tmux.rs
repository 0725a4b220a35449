//! A terminal of tmux, in which a command runs.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{LONG, TestBroker};

/// The text that the shell prints before the command.
pub(crate) const BEFORE: &str = "a line before the command";

/// A terminal with a screen, which ends with this value.
pub(crate) struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Runs `carrot` in a terminal of this size. The shell then prints its exit code, and `cat`
    /// repeats what is typed.
    pub(crate) fn run(broker: &TestBroker, arguments: &[&str], size: (usize, usize)) -> Terminal {
        let terminal = Terminal { folder: tempfile::tempdir().unwrap() };
        // The shell outlives a Ctrl-C of the command.
        let script = "trap : INT; printf '%s\\n' \"$0\"; sh -c 'echo $$ >\"$0\"; exec \"$@\"' \"$@\"; \
                      printf 'exit code %s\\n' $?; exec cat";
        let pid = terminal.pid_file();
        let url = format!("CARROT_URL={}", broker.url);
        let shell = ["env", "-u", "CARROT_MANAGEMENT", &url, "sh", "-c", script, BEFORE];
        let command = [pid.to_str().unwrap(), env!("CARGO_BIN_EXE_carrot")];
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let session = ["new-session", "-d", "-x", &width, "-y", &height];
        terminal.tmux(&[&session, &shell[..], &command, arguments].concat());
        terminal
    }

    /// Runs `carrot` with this value of TERM, or without one, and records all octets that the
    /// command writes to the terminal.
    pub(crate) fn recorded(
        broker: &TestBroker,
        term: Option<&str>,
        arguments: &[&str],
    ) -> Terminal {
        let terminal = Terminal { folder: tempfile::tempdir().unwrap() };
        // The command starts when it is recorded.
        let script = "trap : INT; read -r go; \"$@\"; printf 'exit code %s\\n' $?; exec cat";
        let term = term.map(|term| format!("TERM={term}"));
        let url = format!("CARROT_URL={}", broker.url);
        let mut shell = vec!["env", "-u", "CARROT_MANAGEMENT", "-u", "TERM", &url];
        shell.extend(term.as_deref());
        shell.extend(["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_carrot")]);
        let session = ["new-session", "-d", "-x", "80", "-y", "24"];
        terminal.tmux(&[&session, &*shell, arguments].concat());
        let record = format!("cat >{}", terminal.record().display());
        terminal.tmux(&["pipe-pane", "-o", &record]);
        terminal.press("Enter");
        terminal
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    /// Waits for the end of the command, and returns what it has written to the terminal.
    pub(crate) fn recording(&self, code: i32) -> String {
        let end = format!("exit code {code}\r\n");
        self.wait_for_text(end.trim_end());
        let deadline = Instant::now() + LONG;
        loop {
            let octets = std::fs::read(self.record()).unwrap_or_default();
            let text = String::from_utf8_lossy(&octets).into_owned();
            if let Some((before, _)) = text.split_once(&end) {
                return before.into();
            }
            assert!(Instant::now() < deadline, "{text:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.folder.path().join("socket"));
        command.args(["-f", "/dev/null"]).args(arguments).env("LC_ALL", "C.UTF-8");
        let ran = command.output().expect("tmux has to be installed; scripts/tmux does");
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Returns the lines of the screen.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.tmux(&["capture-pane", "-p"]).lines().map(str::to_string).collect()
    }

    /// Waits until the lines are as wanted, and returns them.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + LONG;
        loop {
            let lines = self.lines();
            if wanted(&lines) {
                return lines;
            }
            assert!(Instant::now() < deadline, "the terminal does not show {what}: {lines:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a line has this text.
    pub(crate) fn wait_for_text(&self, text: &str) -> Vec<String> {
        self.wait_for(text, |lines| lines.iter().any(|line| line.contains(text)))
    }

    /// Presses a key, by its name in tmux.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    pub(crate) fn resize(&self, width: usize, height: usize) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// Sends a signal to the command.
    pub(crate) fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.pid_file()).unwrap();
        assert!(Command::new("kill").args([name, pid.trim()]).status().unwrap().success());
    }

    /// Returns a number of the state of the terminal.
    pub(crate) fn flag(&self, name: &str) -> u32 {
        let flag = self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]);
        flag.trim().parse().unwrap()
    }

    /// Waits for the end of the command, and asserts that it left the terminal as it was.
    pub(crate) fn is_restored(&self, code: i32) {
        let lines = self.wait_for_text(&format!("exit code {code}"));
        assert_eq!(lines[0], BEFORE, "{lines:#?}");
        let flags = ["alternate_on", "cursor_flag", "wrap_flag"].map(|name| self.flag(name));
        assert_eq!(flags, [0, 1, 1], "{lines:#?}");
        // The terminal shows what is typed, and cat repeats the line.
        self.press("typed");
        self.press("Enter");
        let is_typed = |line: &&String| *line == "typed";
        self.wait_for("the input twice", |lines| lines.iter().filter(is_typed).count() == 2);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let socket = self.folder.path().join("socket");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}
