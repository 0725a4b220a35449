//! Patterns of names.

/// Whether a name matches any of the patterns, or there are none. `*` stands for any text, and `?`
/// for one character.
pub(crate) fn matches_any(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut read) = (0, 0);
    // After the last star, and what of the name it has not yet covered.
    let mut star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                star = Some((at, read));
            }
            Some(&wanted) if wanted == '?' || wanted == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after, covered)) = star else { return false };
                star = Some((after, covered + 1));
                at = after;
                read = covered + 1;
            }
        }
    }
    pattern[at..].iter().all(|&left| left == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_the_whole_name() {
        for (pattern, name) in [
            ("jobs", "jobs"),
            ("*", ""),
            ("*", "jobs"),
            ("jobs.*", "jobs."),
            ("*.new", "a.b.new"),
            ("j?bs", "jöbs"),
            ("*a*b*", "xaxxbx"),
            ("a*b*c", "abbbc"),
            ("**", "x"),
            ("[a]", "[a]"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("jobs", "job"),
            ("job", "jobs"),
            ("", "a"),
            ("?", ""),
            ("a*b", "abc"),
            ("*.new", "new"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn pattern_of_many_stars_needs_no_long_time() {
        assert!(!matches(&"*a".repeat(200), &format!("{}b", "a".repeat(2000))));
    }

    #[test]
    fn no_pattern_matches_every_name() {
        assert!(matches_any(&[], "jobs"));
        assert!(matches_any(&["a".into(), "j*".into()], "jobs"));
        assert!(!matches_any(&["a".into()], "jobs"));
    }
}
