//! Modes, owners and times that somebody set, as sysfs keeps them: in memory, as long as the
//! file's block or node is there.
//!
//! What nobody set is as the tree and the mount say. A mode opens no way that a file does not
//! have: a task that opens one for writing that takes nothing gets `EIO` for the write.

use crate::tree::{Attributes, Place, Sort, Tree};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// User and group of the files, and how old they are, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) since: u64,
}

/// Seconds since 1970, and nanoseconds.
pub(super) type Time = (u64, u32);

/// What is to be set; what is `None` is left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) atime: Option<Time>,
    pub(super) mtime: Option<Time>,
}

/// All that `stat` shows of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode {
    pub(super) place: Place,
    pub(super) sort: Sort,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) links: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) atime: Time,
    pub(super) mtime: Time,
    pub(super) ctime: Time,
}

impl Inode {
    fn new(place: Place, of: Attributes, owner: Owner) -> Self {
        let since = (owner.since, 0);
        Self {
            place,
            sort: of.sort,
            mode: of.mode,
            size: of.size,
            links: of.links,
            uid: owner.uid,
            gid: owner.gid,
            atime: since,
            mtime: since,
            ctime: since,
        }
    }
}

/// The time now.
pub(super) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or((0, 0), |since| (since.as_secs(), since.subsec_nanos()))
}

/// What was set, with what tells the file's block or node from a later one.
#[derive(Default)]
pub(super) struct Inodes {
    owner: Owner,
    set: Mutex<HashMap<Place, (u64, Inode)>>,
}

impl Inodes {
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            owner,
            ..Self::default()
        }
    }

    /// What `stat` shows of a file.
    pub(super) fn get(&self, tree: &Tree, place: Place) -> Result<Inode, Errno> {
        let of = tree.attributes(place)?;
        let plain = Inode::new(place, of, self.owner);
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((identity, inode)) = set.get(&place).copied() else {
            return Ok(plain);
        };
        if tree.identity(place)? != identity {
            set.remove(&place);
            return Ok(plain);
        }
        // How many directories are in one is not set by anybody.
        Ok(Inode {
            links: of.links,
            ..inode
        })
    }

    /// Changes it, and returns what it is now.
    pub(super) fn set(&self, tree: &Tree, place: Place, change: &Change) -> Result<Inode, Errno> {
        let (identity, mut inode) = (tree.identity(place)?, self.get(tree, place)?);
        inode.mode = change.mode.map_or(inode.mode, |mode| mode & 0o7777);
        inode.uid = change.uid.unwrap_or(inode.uid);
        inode.gid = change.gid.unwrap_or(inode.gid);
        inode.atime = change.atime.unwrap_or(inode.atime);
        inode.mtime = change.mtime.unwrap_or(inode.mtime);
        inode.ctime = now();
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.insert(place, (identity, inode));
        Ok(inode)
    }
}
