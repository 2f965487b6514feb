//! Replies of the FUSE protocol: what goes back.
//!
//! What belongs to a block or node is not to be remembered by the kernel: entries and attributes
//! are good for no time at all, since blocks come and go behind its back. What is there as long
//! as the tree is, it may keep. Lengths are filled in when they are known.

use super::inodes::{Inode, Time};
use super::wire::{DIRECT_IO, MAJOR, MAX_WRITE, MINOR, OUT_HEAD};
use crate::tree::{Entry, Place, Sort};
use rustix::io::Errno;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// A reply under construction.
pub(super) struct Out(Vec<u8>);

impl Out {
    fn new() -> Self {
        Self(vec![0; OUT_HEAD])
    }
    fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
    fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
    fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    fn zeroes(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    /// The head is filled in last, when the length is known.
    fn done(mut self, unique: u64) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let head = Self(Vec::new()).u32(len).u32(0).u64(unique);
        self.0[..OUT_HEAD].copy_from_slice(&head.0);
        self.0
    }

    fn attributes(self, inode: &Inode) -> Self {
        let kind = match inode.sort {
            Sort::Directory => DIRECTORY,
            Sort::File => REGULAR,
            Sort::Link => LINK,
        };
        let times: [Time; 3] = [inode.atime, inode.mtime, inode.ctime];
        let out = self.u64(inode.place.number()).u64(inode.size).u64(0);
        let out = times.iter().fold(out, |out, time| out.u64(time.0));
        let out = times.iter().fold(out, |out, time| out.u32(time.1));
        out.u32(kind | inode.mode)
            .u32(inode.links)
            .u32(inode.uid)
            .u32(inode.gid)
            .u32(0)
            .u32(4096)
            .u32(0)
    }
}

/// A failure. Numbers that the protocol has no room for are `EIO`.
pub(super) fn error(unique: u64, errno: Errno) -> Vec<u8> {
    let raw = errno.raw_os_error();
    let raw = if (1..=511).contains(&raw) {
        raw
    } else {
        Errno::IO.raw_os_error()
    };
    let mut reply = Vec::with_capacity(OUT_HEAD);
    reply.extend_from_slice(&16u32.to_ne_bytes());
    reply.extend_from_slice(&(-raw).to_ne_bytes());
    reply.extend_from_slice(&unique.to_ne_bytes());
    reply
}

/// Success without words.
pub(super) fn empty(unique: u64) -> Vec<u8> {
    Out::new().done(unique)
}

pub(super) fn init(unique: u64, max_readahead: u32) -> Vec<u8> {
    Out::new()
        .u32(MAJOR)
        .u32(MINOR)
        .u32(max_readahead)
        .u32(0)
        .u16(64)
        .u16(48)
        .u32(MAX_WRITE)
        .u32(1)
        .zeroes(36)
        .done(unique)
}

/// An answer to a version of the protocol that is newer than ours: our version alone.
pub(super) fn version(unique: u64) -> Vec<u8> {
    Out::new().u32(MAJOR).u32(MINOR).zeroes(56).done(unique)
}

/// How long what never changes may be kept, in seconds.
const KEPT: u64 = 3600;

fn good_for(place: Place) -> u64 {
    if place.is_fixed() { KEPT } else { 0 }
}

/// A directory tells how many are in it, which may change behind the kernel's back: of two of them,
/// it does; to ask about the others costs nothing.
fn attributes_good_for(inode: &Inode) -> u64 {
    match inode.sort {
        Sort::Directory => 0,
        Sort::File | Sort::Link => good_for(inode.place),
    }
}

/// An entry: the number it is to go by, and how long it is good for.
pub(super) fn entry((unique, number): (u64, u64), inode: &Inode) -> Vec<u8> {
    Out::new()
        .u64(number)
        .u64(0)
        .u64(good_for(inode.place))
        .u64(attributes_good_for(inode))
        .u64(0)
        .attributes(inode)
        .done(unique)
}

pub(super) fn attributes(unique: u64, inode: &Inode) -> Vec<u8> {
    Out::new()
        .u64(attributes_good_for(inode))
        .u64(0)
        .attributes(inode)
        .done(unique)
}

pub(super) fn opened(unique: u64, handle: u64, direct: bool) -> Vec<u8> {
    let flags = if direct { DIRECT_IO } else { 0 };
    Out::new().u64(handle).u32(flags).u32(0).done(unique)
}

pub(super) fn data(unique: u64, data: &[u8]) -> Vec<u8> {
    Out::new().bytes(data).done(unique)
}

pub(super) fn written(unique: u64, bytes: usize) -> Vec<u8> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Out::new().u32(bytes).u32(0).done(unique)
}

/// What a file is ready for, as bits of `poll`.
pub(super) fn ready(unique: u64, bits: u32) -> Vec<u8> {
    Out::new().u32(bits).u32(0).done(unique)
}

pub(super) fn statfs(unique: u64) -> Vec<u8> {
    Out::new()
        .zeroes(40)
        .u32(4096)
        .u32(255)
        .u32(4096)
        .zeroes(28)
        .done(unique)
}

/// As many entries from `offset` on as fit into `room` bytes.
pub(super) fn entries(unique: u64, all: &[Entry], offset: u64, room: usize) -> Vec<u8> {
    let from = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut out = Out::new();
    for (at, entry) in all.iter().enumerate().skip(from) {
        let name = entry.name.as_bytes();
        let padding = name.len().next_multiple_of(8) - name.len();
        let len = 24 + name.len() + padding;
        if out.0.len() - OUT_HEAD + len > room {
            break;
        }
        let kind = match entry.sort {
            Sort::Directory => 4,
            Sort::File => 8,
            Sort::Link => 10,
        };
        out = out
            .u64(entry.place.number())
            .u64(at as u64 + 1)
            .u32(u32::try_from(name.len()).unwrap_or(u32::MAX))
            .u32(kind)
            .bytes(name)
            .zeroes(padding);
    }
    out.done(unique)
}
