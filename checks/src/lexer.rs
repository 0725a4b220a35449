//! Splits Rust source text into tokens, without comments and with literals emptied.

/// The kinds of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or a keyword. A raw identifier loses its `r#`.
    Word(String),
    /// One character of punctuation, or `:` twice as [`Kind::PathSeparator`].
    Mark(char),
    /// `::`
    PathSeparator,
    /// A string literal, with its text as written between the quotes.
    Text(String),
    /// A character, a byte, a number or a lifetime.
    Other,
}

/// A token and the line, counted from 1, on which it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// The kind, with the text where it matters.
    pub(crate) kind: Kind,
    /// The line, counted from 1.
    pub(crate) line: usize,
}

impl Token {
    /// Returns the identifier or keyword, if the token is one.
    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Returns whether the token is this mark.
    pub(crate) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// Splits source text into tokens. Malformed text never fails: an open literal ends with the text.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    scan(source).0
}

/// A comment that starts at a line, without its text being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    /// The line, counted from 1, on which the comment starts.
    pub(crate) line: usize,
    /// The comment with its marker: `// ...`, `/// ...` or `/* ... */`.
    pub(crate) text: String,
}

/// Collects the comments of source text, doc comments included, in their order.
pub(crate) fn comments(source: &str) -> Vec<Comment> {
    scan(source).1
}

fn scan(source: &str) -> (Vec<Token>, Vec<Comment>) {
    let mut lexer = Lexer {
        text: source.chars().collect(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
        comments: Vec::new(),
    };
    while lexer.at < lexer.text.len() {
        lexer.step();
    }
    (lexer.tokens, lexer.comments)
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) {
        if self.peek(0) == '\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn push(&mut self, kind: Kind, line: usize) {
        self.tokens.push(Token { kind, line });
    }

    /// Returns the text from `start` to here; nothing where the text ended before.
    fn text_from(&self, start: usize) -> String {
        let end = self.at.min(self.text.len());
        self.text.get(start..end).unwrap_or_default().iter().collect()
    }

    fn step(&mut self) {
        let (first, second) = (self.peek(0), self.peek(1));
        let line = self.line;
        match first {
            _ if first.is_whitespace() => self.bump(),
            '/' if second == '/' => self.line_comment(),
            '/' if second == '*' => self.block_comment(),
            '"' => self.string(line),
            '\'' => self.quote(line),
            ':' if second == ':' => {
                self.at += 2;
                self.push(Kind::PathSeparator, line);
            }
            _ if first.is_alphabetic() || first == '_' => self.word_or_prefixed_literal(line),
            _ if first.is_ascii_digit() => self.number(line),
            _ => {
                self.bump();
                self.push(Kind::Mark(first), line);
            }
        }
    }

    fn line_comment(&mut self) {
        let (start, line) = (self.at, self.line);
        while !self.is_at_end() && self.peek(0) != '\n' {
            self.at += 1;
        }
        self.comment(start, line);
    }

    fn block_comment(&mut self) {
        let (start, line) = (self.at, self.line);
        let mut depth = 0;
        while !self.is_at_end() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    depth += 1;
                    self.at += 2;
                }
                ('*', '/') => {
                    depth -= 1;
                    self.at += 2;
                }
                _ => self.bump(),
            }
            if depth == 0 {
                break;
            }
        }
        self.comment(start, line);
    }

    fn comment(&mut self, start: usize, line: usize) {
        let text = self.text_from(start);
        self.comments.push(Comment { line, text });
    }

    /// Reads a string whose opening quote is next.
    fn string(&mut self, line: usize) {
        self.bump();
        let start = self.at;
        while !self.is_at_end() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                self.bump();
            }
            self.bump();
        }
        let text = self.text_from(start);
        self.bump();
        self.push(Kind::Text(text), line);
    }

    /// Reads a raw string whose first `#` or quote is next.
    fn raw_string(&mut self, line: usize) {
        let mut hashes = 0;
        while self.peek(0) == '#' {
            hashes += 1;
            self.at += 1;
        }
        self.bump();
        let start = self.at;
        while !self.is_at_end() {
            if self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#') {
                break;
            }
            self.bump();
        }
        let text = self.text_from(start);
        self.at += hashes + 1;
        self.push(Kind::Text(text), line);
    }

    /// Reads a character or a lifetime whose quote is next.
    fn quote(&mut self, line: usize) {
        let is_character = self.peek(1) == '\\' || self.peek(2) == '\'';
        self.bump();
        if is_character {
            if self.peek(0) == '\\' {
                self.bump();
            }
            self.bump();
            while !self.is_at_end() && self.peek(0) != '\'' {
                self.bump();
            }
            self.bump();
        } else {
            self.take_word();
        }
        self.push(Kind::Other, line);
    }

    fn take_word(&mut self) -> String {
        let start = self.at;
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.at += 1;
        }
        self.text[start..self.at].iter().collect()
    }

    fn word_or_prefixed_literal(&mut self, line: usize) {
        let word = self.take_word();
        match (word.as_str(), self.peek(0), self.peek(1)) {
            ("b" | "c", '"', _) => self.string(line),
            ("b", '\'', _) => self.quote(line),
            ("r" | "br" | "cr", '"', _) | ("r" | "br" | "cr", '#', '"' | '#') => {
                self.raw_string(line)
            }
            ("r", '#', _) => {
                self.at += 1;
                let word = self.take_word();
                self.push(Kind::Word(word), line);
            }
            _ => self.push(Kind::Word(word), line),
        }
    }

    fn number(&mut self, line: usize) {
        self.take_word();
        if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            self.at += 1;
            self.take_word();
        }
        self.push(Kind::Other, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source).iter().filter_map(|token| token.word().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_words() {
        let source = r##"
            // crate::a
            /// crate::b
            /* crate::c /* nested */ still */
            let x = "crate::d \" quoted"; let y = r#"crate::e " "#; let z = b"f"; let c = '"'; let d = '\''; let e = b'x';
            done
        "##;
        assert_eq!(
            words(source),
            ["let", "x", "let", "y", "let", "z", "let", "c", "let", "d", "let", "e", "done"]
        );
    }

    #[test]
    fn lifetimes_and_characters_are_told_apart() {
        assert_eq!(
            words("fn f<'a>(x: &'a str) -> char { 'a' } g"),
            ["fn", "f", "x", "str", "char", "g"]
        );
        assert_eq!(words(r"let x = '\u{1F600}'; g"), ["let", "x", "g"]);
    }

    #[test]
    fn raw_identifiers_lose_their_prefix() {
        assert_eq!(words("r#type::x"), ["type", "x"]);
    }

    #[test]
    fn numbers_are_no_words_and_leave_ranges_alone() {
        let kinds: Vec<Kind> =
            tokens("0..1u8 1.5e3 x.0.f").into_iter().map(|token| token.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == Kind::Mark('.')).count(), 4);
        assert_eq!(kinds.iter().filter(|kind| matches!(kind, Kind::Word(_))).count(), 2);
    }

    #[test]
    fn lines_are_counted_through_literals_and_comments() {
        let tokens = tokens("\"a\nb\" /* \n */ x");
        assert_eq!(tokens.last(), Some(&Token { kind: Kind::Word("x".into()), line: 3 }));
    }

    #[test]
    fn comments_are_collected_with_their_lines() {
        let found = comments("let a = \"// no\"; // one\n/// two\n/* three\n four */ x");
        let found: Vec<(usize, &str)> =
            found.iter().map(|comment| (comment.line, comment.text.as_str())).collect();
        assert_eq!(found, [(1, "// one"), (2, "/// two"), (3, "/* three\n four */")]);
    }

    #[test]
    fn open_literals_end_with_the_text() {
        for source in ["\"open", "r#\"open", "'", "'\\", "/* open", "b\"", "r##", "r#"] {
            tokens(source);
        }
    }
}
