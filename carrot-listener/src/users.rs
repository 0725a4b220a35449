//! The users of a server, and their passwords.

use std::collections::BTreeMap;
use std::fmt;

use carrot_core::Secret;

/// The users of a server, by name.
#[derive(Clone, Default)]
pub struct Users(BTreeMap<String, Option<Secret>>);

impl Users {
    /// Adds a user. One without a password logs in with a certificate only.
    pub fn add(&mut self, name: String, password: Option<Secret>) {
        self.0.insert(name, password);
    }

    /// Returns whether there is a user of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the length of the longest name, in bytes.
    pub fn longest_name(&self) -> Option<usize> {
        self.0.keys().map(String::len).max()
    }

    /// Returns whether the password is that of the user. The time depends on the length of the
    /// given password only.
    pub fn accept(&self, name: &str, password: &[u8]) -> bool {
        let found = self.0.get(name).and_then(Option::as_ref);
        let expected = found.map_or("", |secret| secret.reveal()).as_bytes();
        let mut difference = u8::from(found.is_none()) | u8::from(expected.len() != password.len());
        for (index, octet) in password.iter().enumerate() {
            difference |= octet ^ expected.get(index).copied().unwrap_or_default();
        }
        std::hint::black_box(difference) == 0
    }
}

/// Displays the names only.
impl fmt::Debug for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_password_of_a_known_user_is_accepted() {
        let mut users = Users::default();
        users.add("ann".into(), Some("hush".into()));
        users.add("bob".into(), Some("".into()));
        users.add("cat".into(), None);
        assert!(users.accept("ann", b"hush"));
        assert!(users.accept("bob", b""));
        for (name, password) in [
            ("ann", "hus"),
            ("ann", "hushh"),
            ("ann", ""),
            ("bob", "x"),
            ("cat", ""),
            ("eve", ""),
            ("eve", "x"),
        ] {
            assert!(!users.accept(name, password.as_bytes()), "{name} {password}");
        }
        assert_eq!(format!("{users:?}"), r#"{"ann", "bob", "cat"}"#);
    }
}
