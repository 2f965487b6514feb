//! Which signals wait for a task, and whether one of them will end it.
//!
//! Read from the task's status file. A signal ends a task if it is not blocked, ignored or
//! caught and its default is to end. FUSE only says that a signal came, not which; a writer that
//! waits for the hotplug lock goes on waiting unless the signal is fatal, as on Linux.

use std::fs;

/// Signals that leave the task alive by default: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
const HARMLESS: u64 = bit(17) | bit(18) | bit(19) | bit(20) | bit(21) | bit(22) | bit(23) | bit(28);
const KILL: u64 = bit(9);

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// Signals that wait for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// All that are not blocked, one bit each.
    pub(super) bits: u64,
    /// Whether one of them ends the task.
    pub(super) fatal: bool,
}

fn parse(status: &str) -> Option<Pending> {
    let field = |name: &str| {
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(value.trim(), 16).ok()
    };
    let pending = field("SigPnd:")? | field("ShdPnd:")?;
    let (blocked, ignored, caught) = (field("SigBlk:")?, field("SigIgn:")?, field("SigCgt:")?);
    let bits = pending & !(blocked & !KILL);
    let deadly = bits & !caught & !ignored & !HARMLESS;
    Some(Pending {
        bits,
        fatal: deadly != 0 || bits & KILL != 0,
    })
}

/// Signals that wait for the task; `None` if that cannot be told, as when it is gone.
pub(super) fn pending(task: u32) -> Option<Pending> {
    if task == 0 {
        return None;
    }
    parse(&fs::read_to_string(format!("/proc/{task}/status")).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(thread: u64, blocked: u64, ignored: u64, caught: u64) -> String {
        format!(
            "Name:\tx\nSigQ:\t0/1\nSigPnd:\t{thread:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{blocked:016x}\n\
             SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n",
            0
        )
    }

    #[test]
    fn what_ends_a_task_and_what_does_not() {
        let fatal = |text: String| parse(&text).map(|pending| pending.fatal);
        let (alarm, int) = (bit(14), bit(2));
        assert_eq!(fatal(status(alarm, 0, 0, alarm)), Some(false), "caught");
        assert_eq!(fatal(status(int, 0, 0, alarm)), Some(true), "default");
        assert_eq!(fatal(status(int, int, 0, 0)), Some(false), "blocked");
        assert_eq!(
            fatal(status(KILL, KILL, 0, 0)),
            Some(true),
            "kill cannot be blocked"
        );
        assert_eq!(
            fatal(status(bit(17), 0, 0, 0)),
            Some(false),
            "a child ended"
        );
        assert_eq!(fatal(String::new()), None);
    }
}
