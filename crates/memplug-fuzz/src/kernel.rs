//! The kernel's side of a FUSE conversation, without a kernel: requests as it lays them out, and
//! what it insists on in replies. Whatever takes long is waited for, on this thread.

use memplug_sysfs::{Session, Tree};
use std::sync::Arc;

/// A request: operation, inode, and what follows the head.
///
/// # Panics
/// If what follows is longer than any request.
pub fn request(opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(40 + body.len()).expect("short");
    let mut bytes = Vec::with_capacity(40 + body.len());
    bytes.extend_from_slice(&len.to_ne_bytes());
    bytes.extend_from_slice(&opcode.to_ne_bytes());
    bytes.extend_from_slice(&7u64.to_ne_bytes());
    bytes.extend_from_slice(&node.to_ne_bytes());
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(body);
    bytes
}

/// The error of a reply; 0 if it is none.
///
/// # Panics
/// If it has no head.
pub fn errno(reply: &[u8]) -> i32 {
    -i32::from_ne_bytes(reply[4..8].try_into().expect("4 bytes"))
}

/// The first number of a reply: an inode or a handle.
///
/// # Panics
/// If it has none.
pub fn number(reply: &[u8]) -> u64 {
    u64::from_ne_bytes(reply[16..24].try_into().expect("8 bytes"))
}

/// A reply says its length, an error the kernel takes, and the request it answers; none is owed
/// for some.
///
/// # Panics
/// If it is not so.
pub fn check_reply(request: &[u8], reply: &[u8]) {
    if reply.is_empty() {
        return;
    }
    let len = u32::from_ne_bytes(reply[..4].try_into().expect("4 bytes"));
    assert_eq!(len as usize, reply.len(), "its length");
    assert!((0..512).contains(&errno(reply)), "errno {}", errno(reply));
    assert!(errno(reply) == 0 || len == 16, "an error and no more");
    assert_eq!(&reply[8..16], &request[8..16], "whose it is");
}

/// The kernel's side of a conversation.
pub struct Kernel(Session);

impl Kernel {
    /// About a tree that belongs to root.
    pub fn new(tree: Arc<Tree>) -> Self {
        Self(Session::new(tree, 0, 0, 0))
    }

    /// Sends bytes; what comes back is checked.
    pub fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let reply = self.0.answer(bytes);
        check_reply(bytes, &reply);
        reply
    }

    /// Asks for an entry of a directory.
    pub fn lookup(&self, parent: u64, name: &str) -> Vec<u8> {
        self.send(&request(1, parent, format!("{name}\0").as_bytes()))
    }

    /// The inode at a path.
    pub fn find(&self, path: &[&str]) -> u64 {
        let step = |parent, name: &&str| number(&self.lookup(parent, name));
        path.iter().fold(1, step)
    }

    /// Opens a file: 0 to read, 1 to write, 2 for both.
    pub fn open(&self, file: u64, flags: u8) -> Vec<u8> {
        self.send(&request(14, file, &[flags, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// Closes it.
    pub fn release(&self, handle: u64) -> Vec<u8> {
        let mut body = handle.to_ne_bytes().to_vec();
        body.extend_from_slice(&[0; 16]);
        self.send(&request(18, 1, &body))
    }

    fn io(&self, opcode: u32, (handle, offset, size): (u64, u64, u32), data: &[u8]) -> Vec<u8> {
        let mut body = handle.to_ne_bytes().to_vec();
        body.extend_from_slice(&offset.to_ne_bytes());
        body.extend_from_slice(&size.to_ne_bytes());
        body.extend_from_slice(&[0; 20]);
        body.extend_from_slice(data);
        self.send(&request(opcode, 1, &body))
    }

    /// Reads.
    pub fn read(&self, handle: u64, offset: u64, size: u32) -> Vec<u8> {
        self.io(15, (handle, offset, size), &[])
    }

    /// Writes.
    pub fn write(&self, handle: u64, offset: u64, data: &[u8]) -> Vec<u8> {
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.io(16, (handle, offset, size), data)
    }

    /// Writes less than it says.
    pub fn write_short(&self, handle: u64, says: u32, data: &[u8]) -> Vec<u8> {
        self.io(16, (handle, 0, says), data)
    }
}
