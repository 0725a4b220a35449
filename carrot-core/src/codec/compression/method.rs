//! The algorithms, and their names in messages.

use std::borrow::Cow;

#[cfg(feature = "brotli")]
use crate::codec::compression::brotli;
#[cfg(feature = "bzip2")]
use crate::codec::compression::bzip2;
#[cfg(feature = "gzip")]
use crate::codec::compression::gzip;
use crate::codec::compression::output::{InflateFault, Output};
#[cfg(feature = "zstd")]
use crate::codec::compression::zstd;
use crate::error::{Error, Result};
use crate::escaping::printable;
use crate::panic_guard::guard;

/// An algorithm and its format, whether or not its feature is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Gzip,
    Zlib,
    Zstd,
    Bzip2,
    Brotli,
}

/// The names of compressions that no feature inflates.
const UNSUPPORTED: [&str; 9] = [
    "application/x-lzma",
    "application/x-snappy",
    "application/x-xz",
    "compress",
    "lz4",
    "lzma",
    "snappy",
    "x-compress",
    "xz",
];

/// Calls a library, or fails because its feature is off.
macro_rules! with_feature {
    ($feature:literal, $call:expr) => {{
        #[cfg(feature = $feature)]
        {
            $call
        }
        #[cfg(not(feature = $feature))]
        {
            Err(concat!("the feature ", $feature, " of carrot is off").into())
        }
    }};
}

impl Method {
    pub(super) const ALL: [Method; 5] =
        [Method::Gzip, Method::Zlib, Method::Zstd, Method::Bzip2, Method::Brotli];

    /// Returns the name in a definition.
    pub(super) fn name(self) -> &'static str {
        match self {
            Method::Gzip => "gzip",
            Method::Zlib => "zlib",
            Method::Zstd => "zstd",
            Method::Bzip2 => "bzip2",
            Method::Brotli => "brotli",
        }
    }

    /// Returns the feature that compresses and inflates.
    pub(super) fn feature(self) -> &'static str {
        match self {
            Method::Gzip | Method::Zlib => "gzip",
            other => other.name(),
        }
    }

    pub(super) fn is_on(self) -> bool {
        match self {
            Method::Gzip | Method::Zlib => cfg!(feature = "gzip"),
            Method::Zstd => cfg!(feature = "zstd"),
            Method::Bzip2 => cfg!(feature = "bzip2"),
            Method::Brotli => cfg!(feature = "brotli"),
        }
    }

    /// Returns the `content-encoding`.
    pub(crate) fn content_encoding(self) -> &'static str {
        match self {
            Method::Zlib => "deflate",
            Method::Brotli => "br",
            other => other.name(),
        }
    }

    /// Returns the format that kombu's header stands for.
    pub(super) fn of_header(self) -> Method {
        match self {
            Method::Gzip => Method::Zlib,
            other => other,
        }
    }

    /// Returns the value of kombu's header.
    pub(super) fn header(self) -> &'static str {
        match self {
            Method::Gzip | Method::Zlib => "application/x-gzip",
            Method::Zstd => "application/zstd",
            Method::Bzip2 => "application/x-bz2",
            Method::Brotli => "application/x-brotli",
        }
    }

    /// Returns the method of one name in a `content-encoding`, and `None` for other encodings.
    ///
    /// # Errors
    /// - [`Error::Inflate`]: the name is that of a compression that is not supported.
    pub(crate) fn of_encoding(name: &str) -> Result<Option<Method>> {
        Method::of_name(name, |name| match name {
            "gzip" | "x-gzip" => Some(Method::Gzip),
            "deflate" | "zlib" => Some(Method::Zlib),
            "zstd" => Some(Method::Zstd),
            "bzip2" | "x-bzip2" | "bz2" => Some(Method::Bzip2),
            "br" | "brotli" => Some(Method::Brotli),
            _ => None,
        })
    }

    /// Returns the method of a value of kombu's header, and `None` for no compression.
    ///
    /// # Errors
    /// - [`Error::Inflate`]: the compression is not known.
    pub(crate) fn of_header_value(name: &str) -> Result<Option<Method>> {
        if ["", "none", "identity"].iter().any(|none| none.eq_ignore_ascii_case(name.trim())) {
            return Ok(None);
        }
        let found = Method::of_name(name, |name| match name {
            "application/x-gzip" | "application/gzip" | "gzip" | "zlib" => Some(Method::Zlib),
            "application/zstd" | "zstd" | "zstandard" => Some(Method::Zstd),
            "application/x-bz2" | "bzip2" | "bzip" => Some(Method::Bzip2),
            "application/x-brotli" | "brotli" => Some(Method::Brotli),
            _ => None,
        })?;
        found.map(Some).ok_or_else(|| failed(name, "the compression is not known"))
    }

    fn of_name(name: &str, find: impl Fn(&str) -> Option<Method>) -> Result<Option<Method>> {
        let lower = name.trim().to_ascii_lowercase();
        match find(&lower) {
            None if UNSUPPORTED.contains(&&*lower) => {
                Err(failed(name, "the compression is not supported"))
            }
            found => Ok(found),
        }
    }

    /// Compresses a body.
    pub(super) fn compress(self, body: &[u8]) -> Result<Vec<u8>, String> {
        let _ = body;
        match self {
            Method::Gzip => with_feature!("gzip", gzip::compress(body)),
            Method::Zlib => with_feature!("gzip", gzip::compress_zlib(body)),
            Method::Zstd => with_feature!("zstd", zstd::compress(body)),
            Method::Bzip2 => with_feature!("bzip2", bzip2::compress(body)),
            Method::Brotli => with_feature!("brotli", brotli::compress(body)),
        }
    }

    /// Inflates a body to at most `limit` bytes. Catches a panic of the library.
    ///
    /// # Errors
    /// - [`Error::TooLarge`]: the body inflates to more.
    /// - [`Error::Inflate`]: the body is damaged, or the feature is off.
    pub(crate) fn inflate(self, body: &[u8], limit: u64) -> Result<Vec<u8>> {
        let mut output = Output::new(usize::try_from(limit).unwrap_or(usize::MAX));
        match guard(|| self.inflate_into(body, &mut output)) {
            Ok(Ok(())) => Ok(output.into_bytes()),
            Ok(Err(InflateFault::TooLarge)) => {
                Err(Error::TooLarge { compression: self.content_encoding().into(), limit })
            }
            Ok(Err(InflateFault::Failed(reason))) => Err(failed(self.content_encoding(), reason)),
            Err(panic) => Err(failed(self.content_encoding(), panic)),
        }
    }

    fn inflate_into(self, body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
        let _ = (body, &output);
        match self {
            Method::Gzip => with_feature!("gzip", gzip::inflate(body, output)),
            Method::Zlib => with_feature!("gzip", gzip::inflate_zlib(body, output)),
            Method::Zstd => with_feature!("zstd", zstd::inflate(body, output)),
            Method::Bzip2 => with_feature!("bzip2", bzip2::inflate(body, output)),
            Method::Brotli => with_feature!("brotli", brotli::inflate(body, output)),
        }
    }
}

/// Returns the error of a body that cannot be inflated. A sender may have chosen the name.
pub(crate) fn failed(compression: &str, reason: impl Into<Cow<'static, str>>) -> Error {
    const LONGEST_NAME: usize = 100;
    Error::Inflate {
        compression: printable(LONGEST_NAME, compression.trim()),
        reason: reason.into(),
    }
}
