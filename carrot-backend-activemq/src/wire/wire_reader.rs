use crate::wire::error::OpenWireError;
use crate::wire::modified_utf8;

/// The unread octets of a command. Each read takes octets from the front.
#[derive(Debug, Clone)]
pub(crate) struct WireReader<'a> {
    rest: &'a [u8],
    /// The name of the command, for errors.
    within: &'static str,
    /// Whether the rest was skipped, because it holds an object of unknown size.
    is_skipped: bool,
}

impl<'a> WireReader<'a> {
    pub(crate) fn new(rest: &'a [u8], within: &'static str) -> WireReader<'a> {
        WireReader { rest, within, is_skipped: false }
    }

    /// Continues with another name for errors.
    pub(crate) fn named(self, within: &'static str) -> WireReader<'a> {
        WireReader { within, ..self }
    }

    pub(crate) fn within(&self) -> &'static str {
        self.within
    }

    /// Skips the rest, also for the fields of the outer object.
    pub(crate) fn skip_rest(&mut self) {
        self.rest = &[];
        self.is_skipped = true;
    }

    pub(crate) fn is_skipped(&self) -> bool {
        self.is_skipped
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn truncated(&self, field: &'static str) -> OpenWireError {
        OpenWireError::Truncated { within: self.within, field }
    }

    /// Takes a fixed number of octets.
    pub(crate) fn array<const LENGTH: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; LENGTH], OpenWireError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.truncated(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes this number of octets.
    pub(crate) fn take(
        &mut self,
        length: usize,
        field: &'static str,
    ) -> Result<&'a [u8], OpenWireError> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or_else(|| self.truncated(field))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, OpenWireError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Takes a boolean. Every octet but zero is true, as in Java.
    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, OpenWireError> {
        self.u8(field).map(|octet| octet != 0)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, OpenWireError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, OpenWireError> {
        self.array(field).map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, OpenWireError> {
        self.array(field).map(i64::from_be_bytes)
    }

    /// Takes the octets that follow a length of four octets.
    pub(crate) fn long_octets(&mut self, field: &'static str) -> Result<&'a [u8], OpenWireError> {
        let length = self.i32(field)?;
        let within = self.within;
        let count = usize::try_from(length).map_err(|_| OpenWireError::NegativeLength {
            within,
            field,
            length,
        })?;
        self.take(count, field)
    }

    /// Takes a string that follows a length of two octets.
    pub(crate) fn short_text(&mut self, field: &'static str) -> Result<String, OpenWireError> {
        let length = self.u16(field)?;
        let octets = self.take(length.into(), field)?;
        self.text(octets, field)
    }

    /// Takes a string that follows a length of four octets.
    pub(crate) fn long_text(&mut self, field: &'static str) -> Result<String, OpenWireError> {
        let octets = self.long_octets(field)?;
        self.text(octets, field)
    }

    fn text(&self, octets: &[u8], field: &'static str) -> Result<String, OpenWireError> {
        modified_utf8::decode(octets).ok_or(OpenWireError::Text { within: self.within, field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_end_name_the_field() {
        let truncated = Err(OpenWireError::Truncated { within: "test", field: "name" });
        assert_eq!(WireReader::new(&[0, 3, b'a'], "test").short_text("name"), truncated);
        let huge = [0x7f, 0xff, 0xff, 0xff, 1];
        assert_eq!(WireReader::new(&huge, "test").long_text("name"), truncated);
    }

    #[test]
    fn negative_length_is_refused() {
        let refused = OpenWireError::NegativeLength { within: "test", field: "name", length: -1 };
        let octets = [0xff; 5];
        assert_eq!(WireReader::new(&octets, "test").long_octets("name"), Err(refused));
    }

    #[test]
    fn text_that_is_no_modified_utf8_is_refused() {
        let refused = Err(OpenWireError::Text { within: "test", field: "name" });
        assert_eq!(WireReader::new(&[0, 1, 0xff], "test").short_text("name"), refused);
    }
}
