//! The inflated bytes, whose number is limited.

use std::borrow::Cow;
#[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2"))]
use std::io::{ErrorKind, Read};

#[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2"))]
use crate::escaping::printable;

/// The bytes that are inflated at once.
#[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2", feature = "brotli"))]
pub(super) const PIECE: usize = 16 * 1024;
#[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2", feature = "brotli"))]
pub(super) const TRUNCATED: &str = "the compressed data is truncated";
#[cfg(any(feature = "gzip", feature = "brotli"))]
pub(super) const TRAILING: &str = "bytes follow the compressed data";

/// The reason why a body cannot be inflated.
#[derive(Debug)]
pub(super) enum InflateFault {
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd", feature = "bzip2", feature = "brotli")),
        allow(dead_code, reason = "no library inflates")
    )]
    TooLarge,
    Failed(Cow<'static, str>),
}

impl From<&'static str> for InflateFault {
    fn from(reason: &'static str) -> InflateFault {
        InflateFault::Failed(reason.into())
    }
}

/// The inflated bytes. Grows as they appear, up to a limit. No announced size counts.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    #[cfg_attr(
        not(any(feature = "gzip", feature = "zstd", feature = "bzip2", feature = "brotli")),
        allow(dead_code, reason = "no library inflates")
    )]
    limit: usize,
}

impl Output {
    pub(super) fn new(limit: usize) -> Output {
        Output { bytes: Vec::new(), limit }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    #[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2", feature = "brotli"))]
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), InflateFault> {
        if piece.len() > self.limit - self.bytes.len() {
            return Err(InflateFault::TooLarge);
        }
        let length = self.bytes.len() + piece.len();
        if length > self.bytes.capacity() {
            let capacity = (2 * self.bytes.capacity()).max(length).min(self.limit);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Appends what the reader returns until its end.
    #[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2"))]
    pub(super) fn fill(&mut self, mut reader: impl Read) -> Result<(), InflateFault> {
        let mut piece = [0; PIECE];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => self.push(&piece[..length])?,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(TRUNCATED.into());
                }
                Err(error) => return Err(damaged(error)),
            }
        }
    }
}

/// Returns the fault of a library's error.
#[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2"))]
pub(super) fn damaged(error: impl std::fmt::Display) -> InflateFault {
    const LONGEST: usize = 200;
    InflateFault::Failed(
        format!("the compressed data is damaged: {}", printable(LONGEST, error)).into(),
    )
}
