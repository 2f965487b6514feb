//! What a peer may do: its user and groups, as the system tells them, decide.
//!
//! Looking is for every peer that can connect, as with the files of a kernel. Watching and
//! subscribing shows and delays what others do, so it is for root, the owner of the machine (the
//! user that serves it) and one group; changing is for root and the owner.

use memplug_varlink::Peer;

/// What a method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// To look.
    Look,
    /// To watch, subscribe, and read the audit.
    Watch,
    /// To change something.
    Change,
}

/// Which peers may do what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights {
    pub(crate) owner: u32,
    pub(crate) group: Option<u32>,
}

impl Rights {
    pub(crate) fn of_this_process(group: Option<u32>) -> Self {
        Self {
            owner: rustix::process::geteuid().as_raw(),
            group,
        }
    }

    /// # Errors
    /// Why not, and what to do about it.
    pub(crate) fn check(&self, peer: &Peer, right: Right) -> Result<(), String> {
        let rules = peer.uid == 0 || peer.uid == self.owner;
        let granted = match right {
            Right::Look => true,
            Right::Watch => rules || self.group.is_some_and(|group| peer.is_in(group)),
            Right::Change => rules,
        };
        if granted {
            return Ok(());
        }
        let (owner, uid) = (self.owner, peer.uid);
        Err(match right {
            Right::Look | Right::Change => {
                format!(
                    "user {uid} may not change this machine; ask root or its owner, user {owner}"
                )
            }
            Right::Watch => format!(
                "user {uid} may not watch or subscribe; ask for membership in the group that may, \
                 or root or user {owner}"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_owner_change_the_group_watches_everybody_looks() {
        let rights = Rights {
            owner: 1000,
            group: Some(50),
        };
        let peer = |uid, gid| Peer { uid, gid, pid: -1 };
        for (who, change, watch) in [
            (peer(0, 0), true, true),
            (peer(1000, 9), true, true),
            (peer(7, 50), false, true),
            (peer(7, 7), false, false),
        ] {
            assert!(rights.check(&who, Right::Look).is_ok());
            assert_eq!(rights.check(&who, Right::Watch).is_ok(), watch, "{who:?}");
            assert_eq!(rights.check(&who, Right::Change).is_ok(), change, "{who:?}");
        }
        let nobody = Rights {
            group: None,
            ..rights
        };
        assert!(nobody.check(&peer(7, 50), Right::Watch).is_err());
    }
}
