//! Finds the functions of masked code: their names, lines, lengths, and which are tests.
//!
//! A function is `fn` and a name. Its body is the first brace outside parentheses and brackets,
//! to the matching one; a `;` there instead means that it has none. A function inside another
//! counts for both. Function pointer types have no name and are not found.

use crate::mask::is_word;

/// A function where it is defined or declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line of `fn`.
    pub line: usize,
    /// From `fn` to the closing brace, both counted.
    pub lines: usize,
    /// Whether an attribute such as `#[test]` stands over it.
    pub is_test: bool,
}

/// All functions of masked code, in order.
pub fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for start in words(code, "fn") {
        let rest = &code[start + 2..];
        let name: String = rest
            .trim_start()
            .trim_start_matches("r#")
            .chars()
            .take_while(|&c| is_name(c))
            .collect();
        if name.is_empty() || !rest.starts_with(char::is_whitespace) {
            continue;
        }
        let end = item_end(code, start);
        found.push(Function {
            name,
            line: line_of(code, start),
            lines: newlines(&code[start..end]) + 1,
            is_test: is_test(&code[..start]),
        });
    }
    found
}

/// Offsets where `word` stands alone in `code`.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = at.checked_sub(1).is_none_or(|i| !is_word(bytes[i]));
            before
                && bytes
                    .get(at + word.len())
                    .is_none_or(|&byte| !is_word(byte))
        })
}

/// One past the end of the item that begins at `start`: its closing brace, or its `;`.
pub fn item_end(code: &str, start: usize) -> usize {
    let (mut round, mut braces) = (0_usize, 0_usize);
    for (offset, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round = round.saturating_sub(1),
            b'{' if braces > 0 || round == 0 => braces += 1,
            b'}' if braces > 0 => {
                braces -= 1;
                if braces == 0 {
                    return offset + 1;
                }
            }
            b';' if braces == 0 && round == 0 => return offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// The line, counted from 1, on which an offset stands.
pub fn line_of(text: &str, offset: usize) -> usize {
    newlines(&text[..offset]) + 1
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'\n').count()
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether the attributes at the end of `before` make a test of what follows.
fn is_test(before: &str) -> bool {
    let start = before.rfind(['{', '}', ';']).map_or(0, |at| at + 1);
    let attributes: String = before[start..].split_whitespace().collect();
    ["#[test]", "::test]", "::test("]
        .iter()
        .any(|end| attributes.contains(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_go_from_fn_to_the_closing_brace() {
        let found =
            functions("pub fn a(x: [u8; 4]) -> [u8; 2]\nwhere T: B,\n{\n  {\n  }\n}\nfn b();");
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].name.as_str(), found[0].line, found[0].lines),
            ("a", 1, 6)
        );
        assert_eq!(
            (found[1].name.as_str(), found[1].line, found[1].lines),
            ("b", 7, 1)
        );
    }

    #[test]
    fn nested_functions_count_for_both() {
        let found = functions("fn a() {\n fn b() {\n }\n}\n");
        let lines: Vec<usize> = found.iter().map(|function| function.lines).collect();
        assert_eq!(lines, [4, 2]);
    }

    #[test]
    fn pointers_and_names_with_fn_in_them_are_no_functions() {
        assert!(functions("type F = fn (u8); let fn_x = my_fn; dyn Fn (u8)").is_empty());
    }

    #[test]
    fn attributes_make_tests() {
        let code =
            "#[test]\n#[cfg(loom)]\nfn a() {}\nfn b() {}\nproptest! { #[test] fn c(x in 0..3) {} }";
        let tests: Vec<bool> = functions(code)
            .iter()
            .map(|function| function.is_test)
            .collect();
        assert_eq!(tests, [true, false, true]);
    }
}
