//! The process at the other end of a connection, as the system says.
//!
//! User and group are those the process had when it connected. Its further groups are read from
//! the process with that number; they count only while that process is of the same user, so a
//! number that was given out anew lends nobody more than that user's processes have.

use rustix::net::sockopt::socket_peercred;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;

/// The process at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its number when it connected.
    pub pid: i32,
}

impl Peer {
    /// Asks the system.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let found = socket_peercred(stream)?;
        Ok(Self {
            uid: found.uid.as_raw(),
            gid: found.gid.as_raw(),
            pid: found.pid.as_raw_pid(),
        })
    }

    /// Whether it is in the group, by its own or one of its further groups.
    pub fn is_in(&self, group: u32) -> bool {
        if self.gid == group {
            return true;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid));
        status.is_ok_and(|text| groups(&text, self.uid).contains(&group))
    }
}

/// The further groups in the text of a process's `status`, if it is of this user.
fn groups(status: &str, uid: u32) -> Vec<u32> {
    let field = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
        let words = lines.next().unwrap_or_default().split_whitespace();
        words
            .filter_map(|word| word.parse().ok())
            .collect::<Vec<u32>>()
    };
    let same = field("Uid:").iter().all(|&other| other == uid) && !field("Uid:").is_empty();
    if same { field("Groups:") } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_count_for_the_same_user_only() {
        let text = "Name:\ta\nUid:\t7\t7\t7\t7\nGid:\t1\t1\t1\t1\nGroups:\t4 24 27 \n";
        assert_eq!(groups(text, 7), [4, 24, 27]);
        assert_eq!(groups(text, 8), [0u32; 0]);
        assert_eq!(groups("", 0), [0u32; 0]);
    }

    #[test]
    fn the_other_end_of_a_pair_is_ourselves() {
        let (one, _other) = UnixStream::pair().expect("sockets");
        let peer = Peer::of(&one).expect("credentials");
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert!(peer.is_in(peer.gid));
        assert!(!peer.is_in(u32::MAX - 7));
    }
}
