use std::fmt;

use crate::table::TableRef;

/// The octets of a table, owned and checked.
///
/// Keeps the octets as they arrived, and takes no other memory. Headers that wait for a consumer
/// are stored in this form.
///
/// ```
/// use carrot_amqp_wire::{RawTable, TableRef};
///
/// let table = RawTable::from(TableRef::new(b"\x01at\x01")?);
/// assert_eq!(table.as_table().iter().count(), 1);
/// # Ok::<(), carrot_amqp_wire::WireError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct RawTable(Box<[u8]>);

impl RawTable {
    /// Borrows the table.
    pub fn as_table(&self) -> TableRef<'_> {
        TableRef::unchecked(&self.0)
    }
}

impl From<TableRef<'_>> for RawTable {
    fn from(table: TableRef<'_>) -> RawTable {
        RawTable(table.as_bytes().into())
    }
}

impl fmt::Debug for RawTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_table().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_raw_table_takes_the_memory_of_its_octets() {
        let octets = b"\x01aV".repeat(40_000);
        let table = RawTable::from(TableRef::new(&octets).unwrap());
        assert_eq!(table.0.len(), octets.len());
        assert_eq!(size_of::<RawTable>(), 2 * size_of::<usize>());
    }
}
