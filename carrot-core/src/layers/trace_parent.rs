use std::fmt;

use crate::consumer::message::Message;
use crate::model::{Properties, Value};

/// The name of the header.
pub(super) const TRACEPARENT: &str = "traceparent";
/// The length of the header, in bytes, in version 00.
const LENGTH: usize = 55;
const SAMPLED: u8 = 0x01;

/// The position of a message in a trace, as the header `traceparent` of W3C Trace Context states
/// it.
///
/// The header has the form `00-<trace id>-<parent id>-<flags>`, with 32, 16 and 2 hexadecimal
/// digits in lower case. Both ids are not zero. A header of any other form counts as missing.
/// Fields that a later version adds are ignored. The header is text or bytes.
///
/// ```
/// use carrot::layers::TraceParent;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let parent = TraceParent::parse(text).expect("a valid header");
/// assert_eq!(parent.trace_id(), 0x0af7651916cd43dd8448eb211c80319c);
/// assert_eq!(parent.parent_id(), 0xb7ad6b7169203331);
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), text);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: u128,
    parent_id: u64,
    sampled: bool,
}

impl TraceParent {
    /// Returns the position that a header states, or `None` if the header is invalid.
    pub fn parse(header: impl AsRef<[u8]>) -> Option<TraceParent> {
        let header = header.as_ref();
        let (fields, rest) = header.split_at_checked(LENGTH)?;
        let [version] = hex(fields.get(..2)?)?;
        let is_known_length = if version == 0 { rest.is_empty() } else { rest_is_fields(rest) };
        let has_dashes = [2, 35, 52].iter().all(|at| fields.get(*at) == Some(&b'-'));
        if version == 0xff || !is_known_length || !has_dashes {
            return None;
        }
        let trace_id = u128::from_be_bytes(hex(fields.get(3..35)?)?);
        let parent_id = u64::from_be_bytes(hex(fields.get(36..52)?)?);
        let [flags] = hex(fields.get(53..)?)?;
        TraceParent::new(trace_id, parent_id, flags & SAMPLED != 0)
    }

    /// Returns the position that the headers of a message state, if they state one.
    pub fn of(message: &Message) -> Option<TraceParent> {
        TraceParent::of_properties(message.properties())
    }

    pub(super) fn of_properties(properties: &Properties) -> Option<TraceParent> {
        properties.header(TRACEPARENT).and_then(Value::as_bytes).and_then(TraceParent::parse)
    }

    /// Returns the position with these ids, or `None` if one of them is zero.
    pub(super) fn new(trace_id: u128, parent_id: u64, sampled: bool) -> Option<TraceParent> {
        (trace_id != 0 && parent_id != 0).then_some(TraceParent { trace_id, parent_id, sampled })
    }

    /// Returns the start of a new trace.
    pub(super) fn random(sampled: bool) -> TraceParent {
        // One generator per trace, because each call of the module reads a thread-local variable.
        let mut random = fastrand::Rng::new();
        let trace_id = random.u128(..).max(1);
        TraceParent { trace_id, parent_id: random.u64(..).max(1), sampled }
    }

    /// Returns the same trace with another random parent id.
    pub(super) fn child(self) -> TraceParent {
        TraceParent { parent_id: fastrand::u64(..).max(1), ..self }
    }

    /// Returns the id of the trace: not zero, the same for all messages of the trace.
    pub fn trace_id(self) -> u128 {
        self.trace_id
    }

    /// Returns the id of the operation that sent the message, not zero.
    pub fn parent_id(self) -> u64 {
        self.parent_id
    }

    /// Returns whether the sender may have recorded the trace.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }

    /// Returns the header, in version 00. The only flag is that of sampling.
    pub(super) fn header(self) -> String {
        // Text is checked in words of the processor: fastest if it is aligned, and full of them.
        let mut aligned = AlignedText([b'-'; 64]);
        let text = &mut aligned.0;
        write_hex(&mut text[0..2], &[0]);
        write_hex(&mut text[3..35], &self.trace_id.to_be_bytes());
        write_hex(&mut text[36..52], &self.parent_id.to_be_bytes());
        write_hex(&mut text[53..LENGTH], &[u8::from(self.sampled)]);
        let text = str::from_utf8(text).unwrap_or_default();
        text.get(..LENGTH).unwrap_or_default().to_owned()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.header())
    }
}

/// Returns whether the rest of a header is empty, or further fields.
fn rest_is_fields(rest: &[u8]) -> bool {
    rest.first().is_none_or(|first| *first == b'-')
}

/// Returns the bytes of lower-case hexadecimal digits, if there are two for each.
fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let mut invalid = u8::from(digits.len() != 2 * BYTES);
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks().0) {
        let [high, low] = pair.map(|digit| DIGIT_VALUES[usize::from(digit)]);
        invalid |= (high | low) & INVALID;
        *byte = high << 4 | low;
    }
    (invalid == 0).then_some(bytes)
}

/// Text at the address of a word.
#[repr(align(16))]
struct AlignedText([u8; 64]);

#[inline(always)]
fn write_hex(text: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(*byte)];
    }
}

const INVALID: u8 = 0x80;

/// The value of each lower-case hexadecimal digit.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn trace_parent_of_version_00_is_read_and_written_unchanged() {
        let parent = TraceParent::parse(VALID);
        assert_eq!(
            parent,
            TraceParent::new(0x0af7651916cd43dd8448eb211c80319c, 0xb7ad6b7169203331, true)
        );
        assert_eq!(parent.map(TraceParent::header).as_deref(), Some(VALID));
    }

    #[test]
    fn trace_parent_flags_other_than_sampled_are_dropped() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("ff", true)] {
            let parent = TraceParent::parse(VALID.replace("-01", &format!("-{flags}")));
            assert_eq!(parent.map(TraceParent::is_sampled), Some(sampled), "{flags}");
            let written = parent.map(TraceParent::header).unwrap_or_default();
            assert!(written.ends_with(if sampled { "-01" } else { "-00" }), "{written}");
        }
    }

    #[test]
    fn trace_parent_of_a_later_version_is_read_as_far_as_defined() {
        let later = VALID.replacen("00", "cc", 1);
        for header in [later.clone(), format!("{later}-"), format!("{later}-what-the-future-adds")]
        {
            assert_eq!(TraceParent::parse(&header), TraceParent::parse(VALID), "{header}");
        }
        assert_eq!(TraceParent::parse(format!("{later}.what")), None);
        assert_eq!(TraceParent::parse(format!("{later}0")), None);
    }

    #[test]
    fn trace_parent_that_is_invalid_counts_as_missing() {
        for header in [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-"),
            &format!("{VALID}-00"),
            &format!(" {VALID}"),
            &format!("{VALID} "),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen("00", "0g", 1),
            &VALID.replacen("00", "0A", 1),
            &VALID.replacen("0af7", "0AF7", 1),
            &VALID.replacen("b7ad", "b7aD", 1),
            &VALID.replacen("b7ad", "b7a.", 1),
            &VALID.replacen("-01", "-0x", 1),
            &VALID.replacen("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32), 1),
            &VALID.replacen("b7ad6b7169203331", &"0".repeat(16), 1),
            &VALID.replacen('-', "_", 1),
            &VALID.replace('-', "_"),
            &"é".repeat(28),
            &"x".repeat(1_000_000),
        ] {
            assert_eq!(TraceParent::parse(header), None, "{header:.60}");
        }
    }

    #[test]
    fn trace_parent_each_changed_byte_is_noticed_or_read_as_another_value() {
        for at in 0..LENGTH {
            for byte in 0..=255 {
                let mut header = VALID.as_bytes().to_vec();
                header[at] = byte;
                let is_same = byte == VALID.as_bytes()[at];
                let is_hex = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                let parsed = TraceParent::parse(&header);
                let may_be_valid = is_same || (is_hex && ![2, 35, 52].contains(&at));
                assert_eq!(parsed.is_some(), may_be_valid, "{at} {byte}");
            }
        }
    }

    #[test]
    fn trace_parent_writes_each_digit_at_each_place() {
        for place in 0..32 {
            for digit in 0..16_u64 {
                let trace_id = u128::from(digit) << (place * 4) | 1 << 127 | 1;
                let parent_id = digit << (place % 16 * 4) | 1 << 63 | 1;
                for sampled in [false, true] {
                    let parent = TraceParent { trace_id, parent_id, sampled };
                    let flags = u8::from(sampled);
                    let expected = format!("00-{trace_id:032x}-{parent_id:016x}-{flags:02x}");
                    assert_eq!(parent.header(), expected);
                }
            }
        }
    }

    #[test]
    fn random_trace_parents_are_unique_and_children_stay_in_the_trace() {
        let first = TraceParent::random(true);
        assert_ne!(first.trace_id, TraceParent::random(true).trace_id);
        let child = first.child();
        assert_eq!((child.trace_id, child.sampled), (first.trace_id, true));
        assert_ne!(child.parent_id, first.parent_id);
        assert_eq!(TraceParent::parse(child.header()), Some(child));
    }
}
