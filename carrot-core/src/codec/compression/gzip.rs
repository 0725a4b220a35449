//! gzip (RFC 1952) and zlib (RFC 1950).

use std::io::{Error, Write};

use flate2::Compression;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::codec::compression::members::inflate_members;
use crate::codec::compression::output::{InflateFault, Output, TRAILING};

/// The first octets of gzip. No data of zlib begins with them.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    finished(encoder.write_all(body).and_then(|()| encoder.finish()))
}

pub(super) fn compress_zlib(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    finished(encoder.write_all(body).and_then(|()| encoder.finish()))
}

fn finished(result: Result<Vec<u8>, Error>) -> Result<Vec<u8>, String> {
    result.map_err(|error| error.to_string())
}

pub(super) fn inflate(body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
    inflate_members(body, |rest| {
        let mut decoder = GzDecoder::new(*rest);
        output.fill(&mut decoder)?;
        *rest = decoder.into_inner();
        Ok(())
    })
}

/// Inflates zlib, and gzip under the name of zlib, as its MIME type in kombu's header suggests.
pub(super) fn inflate_zlib(body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
    if body.starts_with(GZIP_MAGIC) {
        return inflate(body, output);
    }
    let mut decoder = ZlibDecoder::new(body);
    output.fill(&mut decoder)?;
    if decoder.into_inner().is_empty() { Ok(()) } else { Err(TRAILING.into()) }
}
