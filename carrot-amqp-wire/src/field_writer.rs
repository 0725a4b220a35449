use crate::error::WireError;

/// The maximum length of a short string, in bytes (AMQP 0-9-1 4.2.5.3).
pub(crate) const SHORT_MAX: usize = 255;

/// Appends the fields of a method, header or table.
#[derive(Debug)]
pub(crate) struct FieldWriter<'o> {
    out: &'o mut Vec<u8>,
    /// The name in errors.
    within: &'static str,
    /// The number of bits in the last octet; 0 if the last octet holds no bits.
    bits: u8,
}

impl<'o> FieldWriter<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>, within: &'static str) -> FieldWriter<'o> {
        FieldWriter { out, within, bits: 0 }
    }

    pub(crate) fn within(&self) -> &'static str {
        self.within
    }

    #[inline]
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.bits = 0;
        self.out.extend_from_slice(octets);
    }

    /// Appends octets behind their length in one octet.
    #[inline]
    pub(crate) fn short(&mut self, octets: &[u8], field: &'static str) -> Result<(), WireError> {
        match u8::try_from(octets.len()) {
            Ok(length) => {
                self.octets(&[length]);
                self.octets(octets);
                Ok(())
            }
            Err(_) => Err(self.too_long(octets.len(), SHORT_MAX, field)),
        }
    }

    /// Appends octets behind their length in four octets.
    #[inline]
    pub(crate) fn long(&mut self, octets: &[u8], field: &'static str) -> Result<(), WireError> {
        let length = self.length(octets.len(), field)?;
        self.octets(&length);
        self.octets(octets);
        Ok(())
    }

    /// Appends fields behind their length in four octets.
    pub(crate) fn sized(
        &mut self,
        field: &'static str,
        write: impl FnOnce(&mut FieldWriter<'o>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let start = self.out.len();
        self.octets(&[0; 4]);
        write(self)?;
        let length = self.length(self.out.len() - start - 4, field)?;
        if let Some(place) = self.out.get_mut(start..start + 4) {
            place.copy_from_slice(&length);
        }
        Ok(())
    }

    /// Appends a bit. Consecutive bits share octets, from the lowest bit (AMQP 0-9-1 4.2.5.2).
    #[inline]
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.bits.is_multiple_of(8) {
            self.out.push(0);
            self.bits = 0;
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits;
        }
        self.bits += 1;
    }

    fn length(&self, octets: usize, field: &'static str) -> Result<[u8; 4], WireError> {
        match u32::try_from(octets) {
            Ok(length) => Ok(length.to_be_bytes()),
            Err(_) => Err(self.too_long(octets, u32::MAX as usize, field)),
        }
    }

    #[cold]
    fn too_long(&self, octets: usize, limit: usize, field: &'static str) -> WireError {
        WireError::TooLong { within: self.within, field, octets, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_share_octets_until_another_field_follows() {
        let mut out = Vec::new();
        let mut writer = FieldWriter::new(&mut out, "test");
        [true, false, true].into_iter().for_each(|bit| writer.bit(bit));
        writer.octets(&[9]);
        (0..9).for_each(|_| writer.bit(true));
        assert_eq!(out, [0b101, 9, 255, 1]);
    }

    #[test]
    fn a_short_string_has_at_most_255_octets() {
        let mut out = Vec::new();
        let mut writer = FieldWriter::new(&mut out, "test");
        assert_eq!(writer.short(&[7; 255], "name"), Ok(()));
        let refused = WireError::TooLong { within: "test", field: "name", octets: 256, limit: 255 };
        assert_eq!(writer.short(&[7; 256], "name"), Err(refused));
        assert_eq!(out.len(), 256);
    }
}
