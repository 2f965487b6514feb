//! Parts a Rust file into its code and its comments.
//!
//! Both parts are as long as the file and break lines at the same places; what belongs to the
//! other part is blank. The contents of strings and characters belong to neither, their quotes
//! to the code. So a rule can look for words without finding them where they mean nothing, and
//! an offset or a line number is the same in all three texts.
//!
//! Known: nested block comments, escapes, raw strings with any number of `#`, the prefixes `b`
//! and `c`, and that `'a` may be a lifetime. Left out: everything else of the syntax.

/// A file in two parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked {
    pub code: String,
    pub comments: String,
}

/// Parts `text`. An unfinished string or comment reaches to the end.
pub fn mask(text: &str) -> Masked {
    let mut masker = Masker {
        bytes: text.as_bytes(),
        at: 0,
        code: Vec::new(),
        comments: Vec::new(),
    };
    while masker.at < masker.bytes.len() {
        masker.step();
    }
    Masked {
        code: finish(masker.code),
        comments: finish(masker.comments),
    }
}

fn finish(bytes: Vec<u8>) -> String {
    // Characters are taken whole or blanked byte by byte, so nothing is ever replaced here.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    Neither,
}

struct Masker<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
    comments: Vec<u8>,
}

impl Masker<'_> {
    fn step(&mut self) {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"//") {
            let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            self.take(length, Part::Comment);
        } else if rest.starts_with(b"/*") {
            self.block_comment();
        } else if rest[0] == b'"' {
            self.string();
        } else if rest[0] == b'\'' {
            self.character();
        } else if let Some(hashes) = self.raw_string_hashes() {
            self.raw_string(hashes);
        } else {
            self.take(1, Part::Code);
        }
    }

    fn take(&mut self, count: usize, part: Part) {
        let end = (self.at + count).min(self.bytes.len());
        for &byte in &self.bytes[self.at..end] {
            let blank = if byte == b'\n' { b'\n' } else { b' ' };
            self.code
                .push(if part == Part::Code { byte } else { blank });
            self.comments
                .push(if part == Part::Comment { byte } else { blank });
        }
        self.at = end;
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.bytes.len() {
            let rest = &self.bytes[self.at..];
            if rest.starts_with(b"/*") {
                depth += 1;
                self.take(2, Part::Comment);
            } else if rest.starts_with(b"*/") {
                depth -= 1;
                self.take(2, Part::Comment);
                if depth == 0 {
                    return;
                }
            } else {
                self.take(1, Part::Comment);
            }
        }
    }

    fn string(&mut self) {
        self.take(1, Part::Code);
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => return self.take(1, Part::Code),
                b'\\' => self.take(2, Part::Neither),
                _ => self.take(1, Part::Neither),
            }
        }
    }

    /// A character, a lifetime or a label.
    fn character(&mut self) {
        let rest = &self.bytes[self.at + 1..];
        let length = match rest.first() {
            Some(b'\\') => rest
                .iter()
                .skip(2)
                .position(|&b| b == b'\'')
                .map(|position| position + 2),
            Some(&lead) => Some(utf8_length(lead)).filter(|&n| rest.get(n) == Some(&b'\'')),
            None => None,
        };
        self.take(1, Part::Code);
        if let Some(length) = length {
            self.take(length, Part::Neither);
            self.take(1, Part::Code);
        }
    }

    /// How many `#` the raw string has that begins here, if one does.
    fn raw_string_hashes(&self) -> Option<usize> {
        if self.at > 0 && is_word(self.bytes[self.at - 1]) {
            return None;
        }
        let rest = &self.bytes[self.at..];
        let rest = rest
            .strip_prefix(b"b")
            .or(rest.strip_prefix(b"c"))
            .unwrap_or(rest);
        let rest = rest.strip_prefix(b"r")?;
        let hashes = rest.iter().take_while(|&&b| b == b'#').count();
        (rest.get(hashes) == Some(&b'"')).then_some(hashes)
    }

    fn raw_string(&mut self, hashes: usize) {
        while self.bytes[self.at] != b'"' {
            self.take(1, Part::Code);
        }
        self.take(1, Part::Code);
        let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
        while self.at < self.bytes.len() {
            if self.bytes[self.at..].starts_with(&end) {
                return self.take(end.len(), Part::Code);
            }
            self.take(1, Part::Neither);
        }
    }
}

/// Whether a byte can be part of a name.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn utf8_length(lead: u8) -> usize {
    match lead {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let masked = mask(text);
        assert_eq!(masked.code.len(), text.len());
        assert_eq!(masked.comments.len(), text.len());
        masked.code
    }

    #[test]
    fn comments_go_to_their_own_part() {
        let masked = mask("a // b\nc /* d /* e */ f */ g");
        assert_eq!(masked.code, format!("a     \nc{}g", " ".repeat(19)));
        assert_eq!(masked.comments, "  // b\n  /* d /* e */ f */  ");
    }

    #[test]
    fn contents_of_strings_are_blank() {
        assert_eq!(code(r#"f("{ // \" }");"#), r#"f("         ");"#);
        assert_eq!(code(r##"f(r#"a"b{"#, b"{");"##), r##"f(r#"    "#, b" ");"##);
        assert_eq!(code("\"é\"x"), "\"  \"x");
        assert_eq!(code("\"open {"), "\"      ");
    }

    #[test]
    fn characters_are_blank_and_lifetimes_are_not() {
        assert_eq!(code(r"x('{', '\'', '\u{7b}')"), r"x(' ', '  ', '      ')");
        assert_eq!(
            code("fn f<'a, 'b>(x: &'a str) {}"),
            "fn f<'a, 'b>(x: &'a str) {}"
        );
        assert_eq!(code("('é', '\"')"), "('  ', ' ')");
    }

    #[test]
    fn names_that_end_in_r_begin_no_raw_string() {
        assert_eq!(code("for\"{\""), "for\" \"");
        assert_eq!(code("r#fn + {"), "r#fn + {");
    }
}
