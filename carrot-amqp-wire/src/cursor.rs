use crate::error::WireError;

/// The unread octets of a method, header or table. Each read takes octets from the front.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// The name in errors.
    within: &'static str,
    /// The unread bits of the last octet of bits.
    bits: u8,
    bits_left: u8,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(rest: &'a [u8], within: &'static str) -> Cursor<'a> {
        Cursor { rest, within, bits: 0, bits_left: 0 }
    }

    pub(crate) fn within(&self) -> &'static str {
        self.within
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes a fixed number of octets.
    #[inline]
    pub(crate) fn array<const LENGTH: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; LENGTH], WireError> {
        self.bits_left = 0;
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.truncated(field)),
        }
    }

    /// Takes this number of octets.
    #[inline]
    pub(crate) fn take(
        &mut self,
        length: usize,
        field: &'static str,
    ) -> Result<&'a [u8], WireError> {
        self.bits_left = 0;
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.truncated(field)),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.array(field).map(u8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.array(field).map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        self.array(field).map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Takes the octets that follow a length of one octet.
    #[inline]
    pub(crate) fn short(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        let length = self.u8(field)?;
        self.take(length.into(), field)
    }

    /// Takes the octets that follow a length of four octets.
    #[inline]
    pub(crate) fn long(&mut self, field: &'static str) -> Result<&'a [u8], WireError> {
        let length = self.u32(field)?;
        match usize::try_from(length) {
            Ok(length) => self.take(length, field),
            Err(_) => Err(self.truncated(field)),
        }
    }

    /// Takes a bit. Consecutive bits share octets, from the lowest bit (AMQP 0-9-1 4.2.5.2).
    #[inline]
    pub(crate) fn bit(&mut self, field: &'static str) -> Result<bool, WireError> {
        if self.bits_left == 0 {
            self.bits = self.u8(field)?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 != 0;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }

    /// Refuses octets after the last field.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(WireError::Trailing { within: self.within, octets: self.rest.len() })
    }

    #[cold]
    fn truncated(&self, field: &'static str) -> WireError {
        WireError::Truncated { within: self.within, field }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_share_octets_until_another_field_follows() {
        let mut cursor = Cursor::new(&[0b0000_0101, 9, 0b0000_0001], "test");
        let bits: Vec<bool> = (0..3).filter_map(|_| cursor.bit("bit").ok()).collect();
        assert_eq!(bits, [true, false, true]);
        assert_eq!(cursor.u8("number"), Ok(9));
        assert_eq!(cursor.bit("bit"), Ok(true));
        assert_eq!(cursor.finish(), Ok(()));
    }

    #[test]
    fn nine_bits_take_two_octets() {
        let mut cursor = Cursor::new(&[0, 1, 7], "test");
        let bits: Vec<bool> = (0..9).filter_map(|_| cursor.bit("bit").ok()).collect();
        assert_eq!((bits.len(), bits.last()), (9, Some(&true)));
        assert_eq!(cursor.finish(), Err(WireError::Trailing { within: "test", octets: 1 }));
    }

    #[test]
    fn a_length_beyond_the_end_names_the_field() {
        let truncated = Err(WireError::Truncated { within: "test", field: "name" });
        assert_eq!(Cursor::new(&[3, b'a', b'b'], "test").short("name"), truncated);
        assert_eq!(Cursor::new(&[255, 255, 255, 255, 1], "test").long("name"), truncated);
        assert_eq!(Cursor::new(&[0, 0, 0], "test").long("name"), truncated);
    }
}
