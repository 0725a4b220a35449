//! The order of the headers of a message.

use carrot_core::{Headers, Value};

/// Returns headers sorted by name, as RabbitMQ writes those that it has changed.
pub(crate) fn sorted_by_name(headers: Headers) -> Headers {
    if is_sorted_by_name(&headers) {
        return headers;
    }
    let mut entries: Vec<_> = headers.into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.into_iter().collect()
}

/// Whether headers are sorted by name.
pub(crate) fn is_sorted_by_name(headers: &Headers) -> bool {
    headers.iter().map(name).is_sorted()
}

fn name<'a, N: AsRef<str> + ?Sized>((name, _): (&'a N, &'a Value)) -> &'a str {
    name.as_ref()
}
