//! Names of queues and exchanges that are derived from another name; pure.

/// The longest name of a queue or an exchange, in bytes.
const LONGEST_NAME: usize = 255;

/// Appends `suffix`. A name that would be too long is cut, and made unique by a hash of the whole.
pub(crate) fn with_suffix(name: &str, suffix: &str) -> String {
    if name.len() + suffix.len() <= LONGEST_NAME {
        return format!("{name}{suffix}");
    }
    let hash = format!("~{:016x}", fnv1a(name.as_bytes()));
    let mut end = LONGEST_NAME - suffix.len() - hash.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{hash}{suffix}", &name[..end])
}

/// Returns whether `stem` is `name`, or `name` as [`with_suffix`] cuts it.
pub(crate) fn is_stem_of(stem: &str, name: &str) -> bool {
    let is_cut = |(cut, hash): (&str, &str)| {
        name.starts_with(cut) && hash == format!("{:016x}", fnv1a(name.as_bytes()))
    };
    stem == name || stem.rsplit_once('~').is_some_and(is_cut)
}

/// Splits a name at `infix`, a version and a dot. Returns the part before and the part after.
pub(crate) fn split<'a>(name: &'a str, infix: &str) -> Option<(&'a str, &'a str)> {
    let (stem, end) = name.rsplit_once(infix)?;
    let (version, rest) = end.split_once('.')?;
    version.parse::<u32>().ok().map(|_| (stem, rest))
}

/// 64-bit FNV-1a: the same in every version of every program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Such names exist at brokers: this test must never be changed.
    #[test]
    fn derived_names_never_change() {
        assert_eq!(with_suffix("orders", ".failed"), "orders.failed");
        let long = "ö".repeat(127);
        let cut = with_suffix(&long, ".failed");
        assert_eq!(cut, format!("{}~{:016x}.failed", "ö".repeat(115), fnv1a(long.as_bytes())));
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert!(is_stem_of(cut.trim_end_matches(".failed"), &long));
        assert!(!is_stem_of(cut.trim_end_matches(".failed"), "other"));
    }
}
