//! Zstandard (RFC 8878), also with several frames.

use std::io::Error;

use zstd::bulk::Compressor;
use zstd::stream::read::Decoder;

use crate::codec::compression::members::inflate_members;
use crate::codec::compression::output::{InflateFault, Output, damaged};

/// The binary logarithm of the largest window that a frame may need: 8 MiB, the size that RFC 8878
/// recommends to support.
const MAX_WINDOW_LOG: u32 = 23;

/// Compresses into one frame with a checksum. The header holds the size of the content, which some
/// decoders need.
pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>, String> {
    let compress = || {
        let mut compressor = Compressor::new(zstd::DEFAULT_COMPRESSION_LEVEL)?;
        compressor.include_checksum(true)?;
        compressor.compress(body)
    };
    compress().map_err(|error: Error| error.to_string())
}

pub(super) fn inflate(body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
    inflate_members(body, |rest| {
        let mut decoder = Decoder::with_buffer(*rest).map_err(damaged)?.single_frame();
        decoder.window_log_max(MAX_WINDOW_LOG).map_err(damaged)?;
        output.fill(&mut decoder)?;
        *rest = decoder.finish();
        Ok(())
    })
}
