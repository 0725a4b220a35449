//! Compresses bodies, and inflates compressed bodies within a limit.

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(feature = "bzip2")]
mod bzip2;
mod compression_serde;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(any(feature = "gzip", feature = "zstd", feature = "bzip2"))]
mod members;
pub(super) mod method;
pub(super) mod output;
#[cfg(test)]
mod tests;
#[cfg(feature = "zstd")]
mod zstd;

use crate::backend::Body;
use crate::codec::compression::method::Method;
use crate::codec::format::FormatError;
use crate::error::{Cause, Error, Result};
use crate::model::Properties;
use crate::panic_guard::guard;

/// The most bytes to which a body is inflated, unless a consumer has another limit.
pub(crate) const DEFAULT_MAX_INFLATED: u64 = 64 << 20;
/// The header in which kombu and celery name the compression of the body.
pub(super) const HEADER: &str = "compression";

/// The compression of bodies: the algorithm, and the smallest body that is compressed.
///
/// A program compresses its messages in one of two ways. Every consumer of Carrot inflates both
/// before decoding, if the feature of the algorithm is on.
///
/// | way | the message shows its compression in | readers |
/// |---|---|---|
/// | [`PublisherDefinition::compress`](crate::PublisherDefinition::compress), [`MessageBuilder::compress`](crate::MessageBuilder::compress) | the header `compression` | kombu, celery, Carrot |
/// | [`Codec::compressed`](crate::Codec::compressed) | the property `content-encoding` | programs that follow HTTP, Carrot |
///
/// | compression | feature | header | `content-encoding` | level |
/// |---|---|---|---|---|
/// | [`gzip`](Compression::gzip) | `gzip` | `application/x-gzip` | `gzip` | 6 |
/// | [`zlib`](Compression::zlib) | `gzip` | `application/x-gzip` | `deflate` | 6 |
/// | [`zstd`](Compression::zstd) | `zstd` | `application/zstd` | `zstd` | 3 |
/// | [`bzip2`](Compression::bzip2) | `bzip2` | `application/x-bz2` | `bzip2` | 9 |
/// | [`brotli`](Compression::brotli) | `brotli` | `application/x-brotli` | `br` | 5 |
///
/// The feature `compression` turns all of them on.
///
/// ```
/// use carrot::codec::Compression;
///
/// # fn example(connection: &carrot::Connection) -> carrot::Result<()> {
/// let publisher = connection.publisher().queue("reports").compress(Compression::gzip()).build()?;
/// publisher.send(&vec!["a long text"; 1000])?;
/// # Ok(())
/// # }
/// ```
///
/// Do not compress a secret together with text that another party chooses: the size of the message
/// reveals what both have in common.
///
/// Serialized as `"gzip"`, `"zlib"`, `"zstd"`, `"bzip2"` or `"brotli"`, or as a table with the
/// fields `method` and `at_least`.
///
/// ```
/// use carrot::codec::Compression;
///
/// let compression: Compression = serde_json::from_str(r#"{"method": "gzip", "at_least": 4096}"#)?;
/// assert_eq!(compression, Compression::gzip().at_least(4096));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    pub(super) method: Method,
    at_least: usize,
}

impl Compression {
    const DEFAULT_AT_LEAST: usize = 1024;

    /// Returns the compression of gzip. In the header of kombu, `application/x-gzip` stands for the
    /// format of zlib, which is then sent.
    #[cfg(feature = "gzip")]
    pub fn gzip() -> Compression {
        Compression::new(Method::Gzip)
    }

    /// Returns the compression of zlib, which HTTP names `deflate`.
    #[cfg(feature = "gzip")]
    pub fn zlib() -> Compression {
        Compression::new(Method::Zlib)
    }

    /// Returns the compression of Zstandard.
    ///
    /// Bodies are inflated if their window has at most 8 MiB. Encoders use larger windows only at
    /// levels of 20 and above, and with long-distance matching; if they do not know the size of the
    /// body, also for a small one.
    #[cfg(feature = "zstd")]
    pub fn zstd() -> Compression {
        Compression::new(Method::Zstd)
    }

    /// Returns the compression of bzip2, with blocks of 900 kB.
    #[cfg(feature = "bzip2")]
    pub fn bzip2() -> Compression {
        Compression::new(Method::Bzip2)
    }

    /// Returns the compression of Brotli. Bodies with a large window (over 16 MiB) are not
    /// inflated.
    #[cfg(feature = "brotli")]
    pub fn brotli() -> Compression {
        Compression::new(Method::Brotli)
    }

    /// Sets the size of the smallest body that a publisher compresses, in bytes.
    /// [`Codec::compressed`](crate::Codec::compressed) compresses every body.
    ///
    /// A body that would not shrink is sent unchanged, without the header.
    ///
    /// Defaults to 1 KiB. Compressing smaller bodies saves little.
    #[must_use]
    pub fn at_least(mut self, bytes: usize) -> Compression {
        self.at_least = bytes;
        self
    }

    fn new(method: Method) -> Compression {
        Compression { method, at_least: Compression::DEFAULT_AT_LEAST }
    }

    /// Compresses a body that is about to be sent, as kombu does, and names the compression in a
    /// header. Leaves a small body unchanged, one that would not shrink, and one with the header.
    pub(crate) fn compress_content(
        &self,
        properties: &mut Properties,
        body: &mut Body,
    ) -> Result<()> {
        if body.len() < self.at_least || properties.header(HEADER).is_some() {
            return Ok(());
        }
        let method = self.method.of_header();
        let compressed = compress(method, body).map_err(|source| Error::Encode {
            content_type: properties.content_type().unwrap_or_default().to_string(),
            source,
        })?;
        if compressed.len() < body.len() {
            *body = compressed.into();
            *properties = std::mem::take(properties).with_header(HEADER, method.header());
        }
        Ok(())
    }
}

/// Compresses a body. Catches a panic of the library.
pub(super) fn compress(method: Method, body: &[u8]) -> Result<Vec<u8>, Cause> {
    let compressed = guard(|| method.compress(body)).unwrap_or_else(Err);
    compressed.map_err(|reason| Cause::from(FormatError::from(reason)))
}
