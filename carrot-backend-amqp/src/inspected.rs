//! The stream that amiquip is given.

use std::io::{self, Read, Write};

use mio::{Evented, Poll, PollOpt, Ready, Token};

use crate::inspector::Inspector;
use crate::stream::Stream;

/// A [`Stream`] that gives an error in place of what amiquip cannot survive.
#[derive(Debug)]
pub(crate) struct Inspected {
    stream: Stream,
    inspector: Inspector,
}

impl Inspected {
    pub(crate) fn new(stream: Stream) -> Inspected {
        Inspected { stream, inspector: Inspector::default() }
    }
}

impl Read for Inspected {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.inspector.inspect(&buffer[..count]).map_err(|refused| io::Error::new(io::ErrorKind::InvalidData, refused))?;
        Ok(count)
    }
}

impl Write for Inspected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Evented for Inspected {
    fn register(&self, poll: &Poll, token: Token, interest: Ready, options: PollOpt) -> io::Result<()> {
        self.stream.register(poll, token, interest, options)
    }

    fn reregister(&self, poll: &Poll, token: Token, interest: Ready, options: PollOpt) -> io::Result<()> {
        self.stream.reregister(poll, token, interest, options)
    }

    fn deregister(&self, poll: &Poll) -> io::Result<()> {
        self.stream.deregister(poll)
    }
}

impl amiquip::IoStream for Inspected {}
