//! The lock of the folder in which a socket lies.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The time for which a host waits for others, which hold the lock for at most the time in which
/// they find out whether a program listens.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The lock of a folder, for the time in which a host takes a path in it or leaves one. Ends with
/// the process at the latest, and leaves no file.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// The folder; `None` if its file system has no such lock, or the folder cannot be read.
    _folder: Option<File>,
}

impl FolderLock {
    /// Locks the folder of a path from the root.
    ///
    /// Blocks while other hosts hold the lock, at most for 10 seconds.
    ///
    /// # Errors
    /// - [`TimedOut`](ErrorKind::TimedOut): another program holds the lock.
    pub(crate) fn of(path: &Path) -> io::Result<FolderLock> {
        let unlocked = FolderLock { _folder: None };
        let Some(Ok(folder)) = path.parent().map(File::open) else { return Ok(unlocked) };
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(FolderLock { _folder: Some(folder) }),
            Err(Errno::WOULDBLOCK) => {}
            // Such as EBADF of NFS.
            Err(_) => return Ok(unlocked),
        }
        let (sender, receiver) = mpsc::channel();
        let waiting = thread::Builder::new().name("carrot-zmq-lock".into()).spawn(move || {
            while flock(&folder, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
            let _ = sender.send(folder);
        });
        match waiting.map(|_| receiver.recv_timeout(LOCK_TIMEOUT))? {
            Ok(folder) => Ok(FolderLock { _folder: Some(folder) }),
            Err(_) => {
                let reason = "another program holds the lock of the folder";
                Err(io::Error::new(ErrorKind::TimedOut, reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn lock_of_a_folder_has_one_holder_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::of(&folder.path().join("carrot.sock")).unwrap();
        let file = File::open(folder.path()).unwrap();
        let attempt = || flock(&file, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(attempt(), Err(Errno::WOULDBLOCK));
        thread::scope(|scope| {
            let path = folder.path().join("another.sock");
            let waiting = scope.spawn(move || FolderLock::of(&path).unwrap());
            drop(held);
            drop(waiting.join().unwrap());
        });
        attempt().unwrap();
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
    }

    #[test]
    fn folder_that_does_not_exist_is_not_locked() {
        FolderLock::of(Path::new("/nowhere/carrot.sock")).unwrap();
    }
}
