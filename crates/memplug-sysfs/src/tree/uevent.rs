//! Synthetic uevents: what is written to a `uevent` file.
//!
//! An action word, and perhaps behind one space a UUID and `KEY=value` pairs of letters and
//! digits. Without a UUID the event bears `SYNTH_UUID=0`.

use memplug_control::UeventAction;

const UUID: usize = 36;

fn is_uuid(text: &[u8]) -> bool {
    text.len() == UUID
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn argument(text: &[u8]) -> Option<String> {
    let at = text.iter().position(|&byte| byte == b'=')?;
    let (key, value) = (&text[..at], &text[at + 1..]);
    let plain = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_alphanumeric);
    if !plain(key) || !plain(value) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    Some(format!("SYNTH_ARG_{text}"))
}

/// The action and what else stands in the event.
pub(super) fn parse(written: &[u8]) -> Option<(UeventAction, Vec<String>)> {
    let text = match written {
        [rest @ .., b'\n' | 0] => rest,
        _ => written,
    };
    let mut words = text.splitn(2, |&byte| byte == b' ');
    let word = words.next()?;
    let action = UeventAction::ALL
        .into_iter()
        .find(|action| action.word().as_bytes() == word)?;
    let Some(rest) = words.next() else {
        return Some((action, vec!["SYNTH_UUID=0".into()]));
    };
    let mut parts = rest.split(|&byte| byte == b' ');
    let uuid = parts.next().filter(|uuid| is_uuid(uuid))?;
    let uuid = std::str::from_utf8(uuid).ok()?;
    let mut extra = vec![format!("SYNTH_UUID={uuid}")];
    for part in parts {
        extra.push(argument(part)?);
    }
    Some((action, extra))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed";

    #[test]
    fn words_alone_and_with_arguments() {
        for action in UeventAction::ALL {
            let parsed = parse(format!("{}\n", action.word()).as_bytes());
            assert_eq!(parsed, Some((action, vec!["SYNTH_UUID=0".into()])));
        }
        let (action, extra) = parse(format!("change {ID} A=1 b=C\n").as_bytes()).expect("valid");
        assert_eq!(action, UeventAction::Change);
        assert_eq!(extra[0], format!("SYNTH_UUID={ID}"));
        assert_eq!(extra[1..], ["SYNTH_ARG_A=1", "SYNTH_ARG_b=C"]);
    }

    #[test]
    fn anything_else_is_refused() {
        let bad = [
            "", "\n", "chang", "changes", "Change", "change ", "change x", "add\n\n",
        ];
        for text in bad {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
        for rest in [" A", " =1", " A=", " A=%", "  A=1"] {
            assert_eq!(
                parse(format!("add {ID}{rest}").as_bytes()),
                None,
                "{rest:?}"
            );
        }
    }
}
