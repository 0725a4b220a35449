//! Licence expressions of dependencies, and which of them this library accepts.

/// The licences that are accepted. All are permissive except MPL-2.0, which covers its own files
/// only.
const ACCEPTED: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "bzip2-1.0.6",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "MPL-2.0",
];

/// The exceptions that are accepted. Each only grants more than the licence that it is attached to.
const ACCEPTED_EXCEPTIONS: [&str; 1] = ["LLVM-exception"];

/// Returns whether accepted licences satisfy an expression, such as `(MIT OR Apache-2.0) AND ISC`.
/// A slash stands for `OR`, as older manifests have it. A malformed expression is not satisfied.
pub(crate) fn is_satisfied(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens };
    let is_satisfied = parser.any();
    is_satisfied == Some(true) && parser.tokens.is_empty()
}

/// A parser of licence expressions. Each method returns whether its part is satisfied, or None if
/// the part is malformed.
struct Parser<'a> {
    tokens: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.tokens.first() == Some(&word);
        if is_next {
            self.tokens = &self.tokens[1..];
        }
        is_next
    }

    fn any(&mut self) -> Option<bool> {
        let mut is_satisfied = self.all()?;
        while self.takes("OR") {
            is_satisfied |= self.all()?;
        }
        Some(is_satisfied)
    }

    fn all(&mut self) -> Option<bool> {
        let mut is_satisfied = self.one()?;
        while self.takes("AND") {
            is_satisfied &= self.one()?;
        }
        Some(is_satisfied)
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("(") {
            let is_satisfied = self.any()?;
            return self.takes(")").then_some(is_satisfied);
        }
        let mut is_satisfied = ACCEPTED.contains(&self.next()?);
        if self.takes("WITH") {
            is_satisfied &= ACCEPTED_EXCEPTIONS.contains(&self.next()?);
        }
        Some(is_satisfied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_accepted_alternative_is_enough() {
        for expression in [
            "MIT",
            "MIT OR GPL-3.0",
            "Unlicense/MIT",
            "GPL-3.0 OR (MIT AND ISC)",
            "MIT AND BSD-3-Clause",
            "(MIT)",
        ] {
            assert!(is_satisfied(expression), "{expression}");
        }
    }

    #[test]
    fn every_part_of_a_conjunction_is_needed() {
        for expression in
            ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "GPL-3.0 OR MIT AND GPL-3.0"]
        {
            assert!(!is_satisfied(expression), "{expression}");
        }
    }

    #[test]
    fn exceptions_are_accepted_by_name() {
        assert!(is_satisfied("Apache-2.0 WITH LLVM-exception"));
        assert!(!is_satisfied("Apache-2.0 WITH Other-exception"));
        assert!(!is_satisfied("GPL-3.0 WITH LLVM-exception"));
    }

    #[test]
    fn malformed_expression_is_not_satisfied() {
        for expression in ["", "MIT OR", "AND MIT", "(MIT", "MIT)", "MIT MIT", "MIT WITH"] {
            assert!(!is_satisfied(expression), "{expression}");
        }
    }
}
