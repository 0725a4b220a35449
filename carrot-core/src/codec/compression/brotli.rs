//! Brotli (RFC 7932), without the large window.

use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliCompress, BrotliDecompressStream, BrotliResult, BrotliState};

use crate::codec::compression::output::{InflateFault, Output, PIECE, TRAILING, TRUNCATED};

const QUALITY: i32 = 5;

pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>, String> {
    let params =
        BrotliEncoderParams { quality: QUALITY, size_hint: body.len(), ..Default::default() };
    let (mut rest, mut compressed) = (body, Vec::new());
    match BrotliCompress(&mut rest, &mut compressed, &params) {
        Ok(_) => Ok(compressed),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn inflate(body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut available_in, mut offset, mut total) = (body.len(), 0, 0);
    let mut piece = [0; PIECE];
    loop {
        let (mut available_out, mut length) = (PIECE, 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut offset,
            body,
            &mut available_out,
            &mut length,
            &mut piece,
            &mut total,
            &mut state,
        );
        output.push(&piece[..length])?;
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess if available_in == 0 => return Ok(()),
            BrotliResult::ResultSuccess => return Err(TRAILING.into()),
            BrotliResult::NeedsMoreInput => return Err(TRUNCATED.into()),
            BrotliResult::ResultFailure => return Err("the compressed data is damaged".into()),
        }
    }
}
