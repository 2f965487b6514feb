//! The paths that code names: `a::b::c`, with the trees of `use` written out.
//!
//! Read from masked code, token by token. `use a::{b, c::{self, D as E}};` gives `a::b`,
//! `a::c` and `a::c::D` (known as `E`). A `*` gives the path before it, known as `*`. Generic
//! arguments end a path. Left out: what the names mean; nothing is resolved.

use crate::mask::is_word;

/// A path as it is written, and the line its last name stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePath {
    pub segments: Vec<String>,
    /// The name it is given: the last, or the one after `as`.
    pub known_as: String,
    pub line: usize,
    /// Whether it stands in a `use`.
    pub in_use: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    DoubleColon,
    Open,
    Close,
    Comma,
    Star,
    End,
    Other,
}

/// All paths of masked code, single names left out unless a `use` names them.
pub fn paths(code: &str) -> Vec<CodePath> {
    let mut reader = Reader {
        tokens: tokens(code),
        at: 0,
        in_use: false,
        found: Vec::new(),
    };
    while reader.at < reader.tokens.len() {
        match reader.tokens[reader.at].0 {
            Token::Name("use") => {
                // `use<'a>` in a type lists lifetimes and is not meant.
                reader.in_use = reader.peek(1) != Token::Other;
                reader.at += 1;
            }
            Token::Name(_) => reader.path(&[]),
            // A group that begins a `use`, with no path before it.
            Token::Open if reader.in_use => reader.group(&[]),
            Token::End => {
                reader.in_use = false;
                reader.at += 1;
            }
            _ => reader.at += 1,
        }
    }
    reader
        .found
        .retain(|path| path.in_use || path.segments.len() > 1);
    reader.found
}

fn tokens(code: &str) -> Vec<(Token<'_>, usize)> {
    let bytes = code.as_bytes();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let start = at;
        at += 1;
        let token = match bytes[start] {
            b'\n' => {
                line += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() => continue,
            byte if is_word(byte) => {
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
                Token::Name(&code[start..at])
            }
            b':' if bytes.get(at) == Some(&b':') => {
                at += 1;
                Token::DoubleColon
            }
            b'{' => Token::Open,
            b'}' => Token::Close,
            b',' => Token::Comma,
            b'*' => Token::Star,
            b';' => Token::End,
            _ => Token::Other,
        };
        tokens.push((token, line));
    }
    tokens
}

struct Reader<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    at: usize,
    in_use: bool,
    found: Vec<CodePath>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Token<'_> {
        self.tokens
            .get(self.at + ahead)
            .map_or(Token::End, |token| token.0)
    }

    /// Reads the path that begins with the next name, after `prefix`.
    fn path(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let mut line = 0;
        while let Token::Name(name) = self.peek(0) {
            // `a::{self}` is `a`; `self::a` is kept as it is.
            if name != "self" || segments.is_empty() {
                segments.push(name.to_owned());
            }
            line = self.tokens[self.at].1;
            self.at += 1;
            if self.peek(0) != Token::DoubleColon {
                break;
            }
            match self.peek(1) {
                Token::Name(_) => self.at += 1,
                Token::Open if self.in_use => {
                    self.at += 1;
                    return self.group(&segments);
                }
                Token::Star if self.in_use => {
                    self.at += 1;
                    return self.star(&segments);
                }
                _ => {
                    self.at += 1;
                    break;
                }
            }
        }
        let mut known_as = segments.last().cloned().unwrap_or_default();
        if let (true, Token::Name("as"), Token::Name(name)) =
            (self.in_use, self.peek(0), self.peek(1))
        {
            known_as = name.to_owned();
            self.at += 2;
        }
        self.found.push(CodePath {
            segments,
            known_as,
            line,
            in_use: self.in_use,
        });
    }

    /// Reads `*` after `prefix`.
    fn star(&mut self, prefix: &[String]) {
        let (segments, line) = (prefix.to_vec(), self.tokens[self.at].1);
        self.found.push(CodePath {
            segments,
            known_as: "*".to_owned(),
            line,
            in_use: true,
        });
        self.at += 1;
    }

    /// Reads `{ ... }` after `prefix`.
    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        loop {
            match self.peek(0) {
                Token::Name(_) => self.path(prefix),
                Token::Open => self.group(prefix),
                Token::Close => {
                    self.at += 1;
                    return;
                }
                Token::End => return,
                Token::Star => self.star(prefix),
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: &str) -> Vec<String> {
        paths(code)
            .into_iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn trees_are_written_out() {
        assert_eq!(
            written("use a::{b, c::{self, D as E}, f::*, *};"),
            ["a::b", "a::c", "a::c::D", "a::f", "a"]
        );
        assert_eq!(written("use {a::b, ::c::d};"), ["a::b", "c::d"]);
        assert_eq!(written("use std;"), ["std"]);
    }

    #[test]
    fn renamed_paths_are_known_by_their_new_name() {
        let found = paths("pub use a::{B as C, d::E};\nlet x = y as z;");
        let names: Vec<&str> = found.iter().map(|path| path.known_as.as_str()).collect();
        assert_eq!(names, ["C", "E"]);
    }

    #[test]
    fn expressions_give_their_paths_and_lines() {
        let found = paths("let x = a::b(c);\nmatch y { Z::W => a :: b::<T>() }");
        let lines: Vec<usize> = found.iter().map(|path| path.line).collect();
        assert_eq!(lines, [1, 2, 2]);
        assert_eq!(written("match y { Z::W => { d::e }\n}"), ["Z::W", "d::e"]);
        assert!(found.iter().all(|path| !path.in_use));
        let found = paths("fn f() -> impl T + use<'a> { a::b }");
        assert!(found.len() == 1 && !found[0].in_use);
    }

    #[test]
    fn broken_code_ends() {
        assert_eq!(written("use a::{b, c"), ["a::b", "a::c"]);
        assert_eq!(written("use a::{{{"), [""; 0]);
        assert_eq!(written("a::"), [""; 0]);
    }
}
