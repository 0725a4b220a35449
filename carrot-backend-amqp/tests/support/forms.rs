//! Encodings of a password to search for in output.

/// Returns `password` in plain text, and as encoded by URLs, SASL, string escapes and byte dumps.
pub(crate) fn forms(password: &str) -> Vec<String> {
    let bytes = password.as_bytes();
    let each = |separator: &str, form: &dyn Fn(&u8) -> String| {
        bytes.iter().map(form).collect::<Vec<_>>().join(separator)
    };
    let percent = |digits: &dyn Fn(&u8) -> String| {
        each("", &|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                char::from(*byte).to_string()
            } else {
                digits(byte)
            }
        })
    };
    let mut forms = vec![
        password.to_string(),
        password.escape_debug().to_string(),
        password.escape_default().to_string(),
        bytes.escape_ascii().to_string(),
        percent(&|byte| format!("%{byte:02X}")),
        percent(&|byte| format!("%{byte:02x}")),
        each("", &|byte| format!("%{byte:02X}")),
        each(", ", &|byte| byte.to_string()),
        each("", &|byte| format!("{byte:02x}")),
        each("", &|byte| format!("{byte:02X}")),
        each(" ", &|byte| format!("{byte:02x}")),
        each(", ", &|byte| format!("{byte:02x}")),
        each(", ", &|byte| format!("0x{byte:02x}")),
    ];
    for alphabet in ["+/", "-_"] {
        forms.extend((0..3).map(|before| base64(bytes, before, alphabet)));
    }
    forms
}

/// Returns the base64 digits of `bytes` that do not depend on the adjacent bytes. `before` is the
/// number of preceding bytes. `last` holds the last two digits of the alphabet.
fn base64(bytes: &[u8], before: usize, last: &str) -> String {
    let digits: Vec<char> =
        ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(last.chars()).collect();
    let bits: Vec<u8> = std::iter::repeat_n(0, before)
        .chain(bytes.iter().copied())
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let text: Vec<char> = bits
        .chunks_exact(6)
        .map(|six| digits[six.iter().fold(0, |number, bit| number * 2 + usize::from(*bit))])
        .collect();
    text[(before * 8).div_ceil(6)..].iter().collect()
}

#[test]
fn the_forms_are_those_in_use() {
    let forms = forms("a+?c\u{e9}");
    for form in [
        "a%2B%3Fc%C3%A9",
        "a%2b%3fc%c3%a9",
        "97, 43, 63, 99, 195, 169",
        "612b3f63c3a9",
        "a+?c\\u{e9}",
        "YSs/Y8Op",
        "ErP2PDq",
        "hKz9jw6",
    ] {
        assert!(forms.iter().any(|found| found == form), "{form}: {forms:?}");
    }
}
