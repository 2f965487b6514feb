//! Command lines as chmem reads them: in the manner of GNU getopt, and with its complaints.
//!
//! Options may stand anywhere, together in one word, more than once, and their long names may be
//! cut short; what stands wrong first is what is complained of. `--socket` is ours. `--help` and
//! `--version` are not looked at here: clap answers them before.

use super::grammar::Bad;
use crate::verb_args::{ChmemArgs, SocketArg};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Long names, the letters they stand for, and whether a value belongs to them.
const LONG: [(&str, char, bool); 9] = [
    ("block", 'b', false),
    ("disable", 'd', false),
    ("enable", 'e', false),
    ("help", 'h', false),
    ("verbose", 'v', false),
    ("version", 'V', false),
    ("zone", 'z', true),
    // What chmem's help says, and chmem does not take.
    ("blocks", 'b', false),
    ("socket", SOCKET, true),
];
const SOCKET: char = 's';

/// What chmem says when getopt has nothing to say.
pub(super) const BAD_USAGE: &str = "bad usage";

/// What a command line says.
#[derive(Default)]
struct Reading {
    enable: bool,
    disable: bool,
    blocks: bool,
    verbose: bool,
    zone: Option<String>,
    socket: Option<PathBuf>,
    /// Words that are no options.
    rest: Vec<String>,
}

impl Reading {
    fn option(&mut self, letter: char, value: Option<String>) -> Result<(), Bad> {
        match letter {
            'b' => self.blocks = true,
            'd' => self.disable = true,
            'e' => self.enable = true,
            'v' => self.verbose = true,
            'z' => self.zone = value,
            SOCKET => self.socket = value.map(PathBuf::from),
            _ => return Err(Bad::Usage(BAD_USAGE.into())),
        }
        exclusive(self.enable, self.disable)
    }

    /// Options in one word; a value may be in it, or is the next word.
    fn letters(
        &mut self,
        letters: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), Bad> {
        for (at, letter) in letters.char_indices() {
            let known = LONG.iter().find(|known| known.1 == letter);
            let takes = match known {
                Some((_, letter, takes)) if *letter != SOCKET => *takes,
                _ => return Err(Bad::Usage(format!("invalid option -- '{letter}'"))),
            };
            if !takes {
                self.option(letter, None)?;
                continue;
            }
            let behind = letters.get(at + letter.len_utf8()..).unwrap_or_default();
            let value = match behind {
                "" => words.next(),
                behind => Some(behind.to_owned()),
            };
            let missing = || Bad::Usage(format!("option requires an argument -- '{letter}'"));
            return self.option(letter, Some(value.ok_or_else(missing)?));
        }
        Ok(())
    }

    fn long(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<(), Bad> {
        let (typed, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let mut fits: Vec<_> = LONG.iter().filter(|l| l.0.starts_with(typed)).collect();
        if let Some(exact) = fits.iter().find(|fit| fit.0 == typed) {
            fits = vec![exact];
        }
        // Two names of one letter are no choice.
        if fits.iter().all(|fit| fit.1 == 'b') {
            fits.truncate(1);
        }
        let (name, letter, takes) = match fits.as_slice() {
            [fit] => **fit,
            [] => return Err(Bad::Usage(format!("unrecognized option '--{word}'"))),
            several => {
                let names: String = several
                    .iter()
                    .map(|fit| format!(" '--{}'", fit.0))
                    .collect();
                let line = format!("option '--{word}' is ambiguous; possibilities:{names}");
                return Err(Bad::Usage(line));
            }
        };
        match (takes, value) {
            (false, None) => self.option(letter, None),
            (false, Some(_)) => {
                let line = format!("option '--{name}' doesn't allow an argument");
                Err(Bad::Usage(line))
            }
            (true, value) => {
                let missing = || Bad::Usage(format!("option '--{name}' requires an argument"));
                let value = value.or_else(|| words.next()).ok_or_else(missing)?;
                self.option(letter, Some(value))
            }
        }
    }
}

/// Whether both are asked for, of which only one can be.
pub(super) fn exclusive(enable: bool, disable: bool) -> Result<(), Bad> {
    if enable && disable {
        let line = "mutually exclusive arguments: --disable --enable";
        return Err(Bad::Line(line.into()));
    }
    Ok(())
}

/// What this command line says, from the name of the program on.
pub(super) fn read(typed: impl Iterator<Item = OsString>) -> Result<ChmemArgs, Bad> {
    let typed: Vec<String> = typed
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut words = typed.into_iter();
    let program = words.next().unwrap_or_default();
    let mut reading = Reading::default();
    if Path::new(&program).file_name() != Some("chmem".as_ref()) {
        // As a verb: what stands before it is not chmem's.
        while let Some(word) = words.next().filter(|word| word != "chmem") {
            let socket = match word.strip_prefix("--socket") {
                Some("") => words.next(),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => continue,
            };
            reading.socket = socket.map(PathBuf::from);
        }
    }
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            None | Some("") => reading.rest.push(word),
            Some("-") => reading.rest.extend(words.by_ref()),
            Some(letters) => match letters.strip_prefix('-') {
                Some(long) => reading.long(long, &mut words)?,
                None => reading.letters(letters, &mut words)?,
            },
        }
    }
    let mut rest = reading.rest.into_iter();
    let (what, None) = (rest.next(), rest.next()) else {
        return Err(Bad::Usage(BAD_USAGE.into()));
    };
    Ok(ChmemArgs {
        enable: reading.enable,
        disable: reading.disable,
        blocks: reading.blocks,
        zone: reading.zone,
        verbose: reading.verbose,
        what,
        socket: SocketArg {
            socket: reading.socket,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Result<ChmemArgs, Bad> {
        read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn options_stand_anywhere_and_may_be_short() {
        let read = said("chmem -evb 32 --verb --zo=Movable").expect("taken");
        assert!(read.enable && read.verbose && read.blocks && !read.disable);
        assert_eq!(read.what.as_deref(), Some("32"));
        assert_eq!(read.zone.as_deref(), Some("Movable"));
        let read = said("memplug --socket /a chmem -zDMA -d -- -1").expect("taken");
        assert_eq!(read.socket.socket, Some("/a".into()));
        assert_eq!(
            (read.zone.as_deref(), read.what.as_deref()),
            (Some("DMA"), Some("-1"))
        );
        let read = said("/bin/chmem -d - --socket=/b").expect("taken");
        assert_eq!(read.socket.socket, Some("/b".into()));
        assert_eq!(read.what.as_deref(), Some("-"));
    }

    #[test]
    fn the_first_thing_wrong_is_complained_of() {
        for (line, words) in [
            ("-x", "invalid option -- 'x'"),
            ("-s", "invalid option -- 's'"),
            ("-dz", "option requires an argument -- 'z'"),
            ("--bl -x", "invalid option -- 'x'"),
            ("--blocks --foo=1", "unrecognized option '--foo=1'"),
            ("--foo=1 -x", "unrecognized option '--foo=1'"),
            ("--zone", "option '--zone' requires an argument"),
            ("--en=1", "option '--enable' doesn't allow an argument"),
            (
                "--ver",
                "option '--ver' is ambiguous; possibilities: '--verbose' '--version'",
            ),
            ("-z Cold -x", "invalid option -- 'x'"),
            ("-d 1G 2G", "bad usage"),
        ] {
            let bad = said(&format!("chmem {line}")).map(|_| ()).expect_err(line);
            assert_eq!(bad, Bad::Usage(words.into()), "{line}");
        }
        let bad = said("chmem -d -e -x").map(|_| ()).expect_err("both");
        assert!(matches!(bad, Bad::Line(_)), "{bad:?}");
    }
}
