//! Messages of the FUSE protocol: what comes in, with every length checked.
//!
//! Numbers are in the byte order of the machine. A message that is too short, or says it is
//! longer than it is, is nothing ([`None`]); bytes behind what is known are ignored, as later
//! versions of the protocol append fields.

use super::inodes::{Change, Time, now};

/// The size of the head of a request.
pub(super) const IN_HEAD: usize = 40;
/// The size of the head of a reply.
pub(super) const OUT_HEAD: usize = 16;

/// The protocol spoken.
pub(super) const MAJOR: u32 = 7;
pub(super) const MINOR: u32 = 31;

/// What a write may carry at most.
pub(super) const MAX_WRITE: u32 = 64 << 10;
/// The longest request there can be, with room for fields to come.
pub(super) const MAX_REQUEST: usize = (64 << 10) + 4096;

/// Reads and writes go to us, not to a cache.
pub(super) const DIRECT_IO: u32 = 1;
macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What is asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Opcode {
            $($(#[$doc])* $name,)*
            /// Anything else.
            Unknown,
        }

        impl Opcode {
            pub(super) const fn of(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    _ => Self::Unknown,
                }
            }
        }
    };
}

opcodes! {
    Lookup = 1,
    Forget = 2,
    GetAttr = 3,
    SetAttr = 4,
    ReadLink = 5,
    SymLink = 6,
    MkNod = 8,
    MkDir = 9,
    Unlink = 10,
    RmDir = 11,
    Rename = 12,
    HardLink = 13,
    Open = 14,
    Read = 15,
    Write = 16,
    StatFs = 17,
    Release = 18,
    Init = 26,
    OpenDir = 27,
    ReadDir = 28,
    ReleaseDir = 29,
    Access = 34,
    Create = 35,
    Interrupt = 36,
    Destroy = 38,
    Poll = 40,
    BatchForget = 42,
    Rename2 = 45,
}

/// Takes fields off the front of a message.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// A name: everything up to a NUL byte, which must be there.
    pub(super) fn name(&self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        self.0.get(..end)
    }

    pub(super) fn bytes(&self, count: usize) -> Option<&'a [u8]> {
        self.0.get(..count)
    }
}

/// A request: its head, and what follows.
pub(super) struct Request<'a> {
    pub(super) opcode: Opcode,
    pub(super) unique: u64,
    pub(super) node: u64,
    pub(super) pid: u32,
    pub(super) body: Fields<'a>,
}

impl<'a> Request<'a> {
    /// The request in these bytes, if there is one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let len = usize::try_from(fields.u32()?).ok()?;
        let opcode = Opcode::of(fields.u32()?);
        let (unique, node) = (fields.u64()?, fields.u64()?);
        fields.skip(8)?;
        let pid = fields.u32()?;
        fields.skip(4)?;
        let body = bytes.get(IN_HEAD..len)?;
        Some(Self {
            opcode,
            unique,
            node,
            pid,
            body: Fields::new(body),
        })
    }
}

/// Where to read, and how much.
pub(super) struct ReadIn {
    pub(super) handle: u64,
    pub(super) offset: u64,
    pub(super) size: usize,
}

impl ReadIn {
    pub(super) fn parse(mut fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            handle: fields.u64()?,
            offset: fields.u64()?,
            size: usize::try_from(fields.u32()?).ok()?,
        })
    }
}

/// What to write.
pub(super) struct WriteIn<'a> {
    pub(super) handle: u64,
    pub(super) data: &'a [u8],
}

impl<'a> WriteIn<'a> {
    pub(super) fn parse(mut fields: Fields<'a>) -> Option<Self> {
        let handle = fields.u64()?;
        fields.skip(8)?;
        let size = usize::try_from(fields.u32()?).ok()?;
        fields.skip(20)?;
        let data = fields.bytes(size)?;
        Some(Self { handle, data })
    }
}

/// What to set of a file.
pub(super) struct SetAttrIn {
    valid: u32,
    atime: Time,
    mtime: Time,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl SetAttrIn {
    pub(super) fn parse(mut fields: Fields<'_>) -> Option<Self> {
        let valid = fields.u32()?;
        fields.skip(28)?;
        let (atime, mtime) = (fields.u64()?, fields.u64()?);
        fields.skip(8)?;
        let (atime, mtime) = ((atime, fields.u32()?), (mtime, fields.u32()?));
        fields.skip(4)?;
        let mode = fields.u32()?;
        fields.skip(4)?;
        Some(Self {
            valid,
            atime,
            mtime,
            mode,
            uid: fields.u32()?,
            gid: fields.u32()?,
        })
    }

    /// What of it is said to be set: each has a bit, and times another for "now".
    pub(super) fn change(&self) -> Change {
        let has = |bit: u32| self.valid & 1 << bit != 0;
        let time = |set: u32, current: u32, time: Time| match (has(set), has(current)) {
            (_, true) => Some(now()),
            (true, false) => Some(time),
            _ => None,
        };
        Change {
            mode: has(0).then_some(self.mode),
            uid: has(1).then_some(self.uid),
            gid: has(2).then_some(self.gid),
            atime: time(4, 7, self.atime),
            mtime: time(5, 8, self.mtime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_and_lengths_that_lie_are_nothing() {
        let mut bytes = vec![0u8; IN_HEAD];
        for len in [0u32, 39, 41, u32::MAX] {
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            assert!(Request::parse(&bytes).is_none(), "{len}");
        }
        bytes[..4].copy_from_slice(&40u32.to_ne_bytes());
        for short in 0..IN_HEAD {
            assert!(Request::parse(&bytes[..short]).is_none(), "{short}");
        }
        assert!(Request::parse(&bytes).is_some());
        assert!(WriteIn::parse(Fields::new(&[255; 40])).is_none());
        assert!(Fields::new(b"no end").name().is_none());
    }
}
