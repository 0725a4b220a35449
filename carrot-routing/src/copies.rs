//! The routing keys in the headers of a message.

use carrot_core::{Headers, Value};

/// The header that lists further routing keys, and that consumers see.
pub const CC: &str = "CC";

/// The header that lists further routing keys, and that a broker removes before a consumer sees it.
pub const BCC: &str = "BCC";

/// Returns the routing keys that a header lists: [`CC`] or [`BCC`].
///
/// Returns none if the header is missing or is no array. Elements that are no strings are left out.
///
/// ```
/// use carrot_core::{Headers, Value};
/// use carrot_routing::{CC, copy_keys};
///
/// let headers = Headers::from([(CC, Value::from(vec!["a".into(), Value::I32(1)]))]);
/// assert_eq!(copy_keys(&headers, CC), ["a"]);
/// ```
#[inline]
pub fn copy_keys<'a>(headers: &'a Headers, header: &str) -> Vec<&'a str> {
    let listed = headers.get(header).and_then(Value::as_array).unwrap_or_default();
    listed.iter().filter_map(Value::as_str).collect()
}
