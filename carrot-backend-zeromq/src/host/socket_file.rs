//! The socket of the file system that a host listens at.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::host::folder_lock::FolderLock;

/// The time in which a socket at which no program listens refuses a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The file of a socket. Dropping it removes the file, unless another file has its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    /// The path from the root.
    path: PathBuf,
    /// The device and the number of the file.
    identity: (u64, u64),
    /// A second handle of the listening socket.
    listening: UnixStream,
    is_removed: AtomicBool,
}

impl SocketFile {
    /// Listens at a path. Replaces the socket of a program that has ended without removing it.
    ///
    /// # Errors
    /// The path cannot be used, for example because another file is there, or another program
    /// listens there.
    pub(crate) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        // A host that has bound the socket, and does not listen yet, looks abandoned. Of two that
        // replace an abandoned file at once, one would remove that of the other.
        let _alone = FolderLock::of(&std::path::absolute(path)?)?;
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        let path = std::path::absolute(path)?;
        let identity = identity(&fs::symlink_metadata(&path)?);
        let listening = UnixStream::from(OwnedFd::from(listener.try_clone()?));
        Ok((listener, SocketFile { path, identity, listening, is_removed: AtomicBool::new(false) }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path as a URL has it.
    pub(crate) fn escaped(&self) -> String {
        let mut escaped = String::new();
        for octet in self.path.as_os_str().as_bytes() {
            match octet {
                b'/' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(*octet)),
                octet if octet.is_ascii_alphanumeric() => escaped.push(char::from(*octet)),
                octet => escaped.push_str(&format!("%{octet:02X}")),
            }
        }
        escaped
    }

    /// Wakes the thread that accepts connections, which gets an error.
    ///
    /// # Errors
    /// The thread may go on to wait.
    pub(crate) fn wake_up(&self) -> io::Result<()> {
        // Linux ends a listening socket as it ends a connection. Others need a connection, which
        // reaches another program if the file was replaced.
        match self.listening.shutdown(Shutdown::Both) {
            Ok(()) => Ok(()),
            Err(_) if self.is_own() => UnixStream::connect(&self.path).map(drop),
            Err(error) => Err(error),
        }
    }

    /// Removes the file, unless another has its place.
    pub(crate) fn remove(&self) {
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return;
        }
        // No host takes the path between the comparison and the removal. A file that stays is
        // replaced by the next host.
        let Ok(_alone) = FolderLock::of(&self.path) else { return };
        if self.is_own() {
            // Another program may have removed the file.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn is_own(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|file| identity(&file) == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Returns whether a path is that of a socket at which no program listens.
fn is_abandoned(path: &Path) -> bool {
    if !fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
        return false;
    }
    // A connection waits while the queue of a program that listens is full.
    let (sender, receiver) = mpsc::channel();
    let probed = path.to_path_buf();
    let probing = thread::Builder::new().name("carrot-zmq-probe".into()).spawn(move || {
        let _ = sender.send(UnixStream::connect(probed).map(drop));
    });
    let answer = probing.ok().and_then(|_| receiver.recv_timeout(PROBE_TIMEOUT).ok());
    matches!(answer, Some(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}
