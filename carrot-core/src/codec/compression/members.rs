//! Formats whose compressed data may follow each other.

use crate::codec::compression::output::InflateFault;

/// The most members of one body. Each costs time, however short it is.
const MOST_MEMBERS: usize = 1000;

/// Inflates the members of a body until its end. `inflate` removes one member from its argument.
pub(super) fn inflate_members(
    mut body: &[u8],
    mut inflate: impl FnMut(&mut &[u8]) -> Result<(), InflateFault>,
) -> Result<(), InflateFault> {
    for _ in 0..MOST_MEMBERS {
        inflate(&mut body)?;
        if body.is_empty() {
            return Ok(());
        }
    }
    Err("the compressed data has more than 1000 members".into())
}
