//! Zstandard (RFC 8878).

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::codec::compression::members::inflate_members;
use crate::codec::compression::output::{InflateFault, Output, TRUNCATED, damaged};

/// The largest window that a frame may need, in bytes. RFC 8878 recommends to support it.
const MAX_WINDOW: u64 = 8 << 20;

/// The octets before the header of a frame, and the bits of its descriptor for the size of the
/// content, a single segment and a dictionary.
const MAGIC_OCTETS: usize = 4;
const SIZE_SEGMENT_DICTIONARY: u8 = 0b1110_0011;
/// The bits of the descriptor for a size of four octets.
const SIZE_OF_4_OCTETS: u8 = 0b1000_0000;

pub(super) fn compress(body: &[u8]) -> Vec<u8> {
    let mut frame = compress_to_vec(body, CompressionLevel::Fastest);
    add_content_size(&mut frame, body.len());
    frame
}

/// Adds the size of the content to the header of a frame, because some decoders need it: those of
/// kombu before 5.6.
fn add_content_size(frame: &mut Vec<u8>, length: usize) {
    let window_descriptor = MAGIC_OCTETS + 1;
    let (Ok(length), Some(descriptor)) = (u32::try_from(length), frame.get_mut(MAGIC_OCTETS))
    else {
        return;
    };
    if *descriptor & SIZE_SEGMENT_DICTIONARY == 0 {
        *descriptor |= SIZE_OF_4_OCTETS;
        let after_window = window_descriptor + 1;
        frame.splice(after_window..after_window, length.to_le_bytes());
    }
}

pub(super) fn inflate(body: &[u8], output: &mut Output) -> Result<(), InflateFault> {
    inflate_members(body, |rest| inflate_frame(rest, output))
}

fn inflate_frame(rest: &mut &[u8], output: &mut Output) -> Result<(), InflateFault> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    let mut decoder = match StreamingDecoder::new_with_decoder(*rest, decoder) {
        Ok(decoder) => decoder,
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
            length,
            ..
        })) => return skip_frame(rest, length),
        Err(error) => return Err(damaged(error)),
    };
    output.fill(&mut decoder)?;
    let (after, decoder) = decoder.into_parts();
    let announced = decoder.get_checksum_from_data();
    if announced.is_some() && announced != decoder.get_calculated_checksum() {
        return Err(damaged("its checksum differs"));
    }
    *rest = after;
    Ok(())
}

/// Skips a frame that holds no compressed data.
fn skip_frame(rest: &mut &[u8], length: u32) -> Result<(), InflateFault> {
    const HEADER: usize = 8;
    let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(HEADER);
    *rest = rest.get(length..).ok_or(TRUNCATED)?;
    Ok(())
}
