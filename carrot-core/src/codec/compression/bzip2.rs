//! bzip2, also with several streams.

use std::io::{Error, Write};

use bzip2::Compression;
use bzip2::bufread::BzDecoder;
use bzip2::write::BzEncoder;

use crate::codec::compression::members::inflate_members;
use crate::codec::compression::output::{InflateFault, Output};

pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = BzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .map_err(|error: Error| error.to_string())
}

pub(super) fn inflate(body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
    inflate_members(body, |rest| {
        let mut decoder = BzDecoder::new(*rest);
        output.fill(&mut decoder)?;
        *rest = decoder.into_inner();
        Ok(())
    })
}
