//! The control interface of `carrot serve`, and the file of its token.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use carrot::memory::Broker;
use carrot::server::ControlInterface;

use crate::exit::{CommandFailure, Result};

/// A control interface. Dropping it ends the interface, and removes the file of the token.
pub(super) struct ServedControl {
    interface: ControlInterface,
    file: PathBuf,
}

impl ServedControl {
    /// Starts the interface, and writes its token to a file that only this user can read.
    pub(super) fn start(address: &str, file: &Path, broker: &Broker) -> Result<ServedControl> {
        let failed = |reason: &str| {
            let file = file.display();
            CommandFailure::input(format!("--control-token-file {file}: {reason}"))
        };
        check_replaceable(file).map_err(|reason| failed(&reason))?;
        let interface = ControlInterface::bind(address, broker)?;
        write_token(file, interface.token()).map_err(|error| failed(&error.to_string()))?;
        Ok(ServedControl { interface, file: file.into() })
    }

    pub(super) fn url(&self) -> String {
        self.interface.url()
    }
}

impl Drop for ServedControl {
    fn drop(&mut self) {
        // Another process may have written its own token meanwhile.
        let is_own = read_start(&self.file).is_ok_and(|text| text == line_of(&self.interface));
        if is_own {
            let _ = fs::remove_file(&self.file);
        }
    }
}

fn line_of(interface: &ControlInterface) -> String {
    format!("{}\n", interface.token())
}

/// Checks that a file does not exist, or is the token of an earlier run.
fn check_replaceable(file: &Path) -> std::result::Result<(), String> {
    let is_file = match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) => metadata.is_file(),
    };
    let is_token = |text: &str| {
        let token = text.strip_suffix('\n').unwrap_or(text);
        token.is_empty() || token.len() == 64 && token.bytes().all(|o| o.is_ascii_hexdigit())
    };
    match is_file && read_start(file).is_ok_and(|text| is_token(&text)) {
        true => Ok(()),
        false => Err("exists, and is no token of an earlier run: name another file".into()),
    }
}

/// Reads more than a token needs, and no more of a large file.
fn read_start(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(100).read_to_string(&mut text)?;
    Ok(text)
}

/// Replaces the file as a whole, so that no reader sees a part of a token, and so that the file
/// has the permissions of a new one.
fn write_token(file: &Path, token: &str) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}", std::process::id()));
    let new = file.with_file_name(name);
    let written = create_private(&new).and_then(|mut output| {
        writeln!(output, "{token}")?;
        fs::rename(&new, file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

/// Creates a file that no other user can read.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
