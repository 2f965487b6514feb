//! What each request does: from bytes to bytes, with no file system in sight.
//!
//! [`Session::take`] answers at once whatever does not wait and hands back the rest as a piece
//! of work for another thread. Whatever the bytes are, there is an answer or none is owed; a
//! request that cannot be understood changes nothing.

use super::handles::{Handles, OpenFile};
use super::inodes::{Inodes, Owner};
use super::replies;
use super::waiting::Waiting;
use super::wire::{Fields, MAJOR, Opcode, ReadIn, Request, SetAttrIn, WriteIn};
use crate::tree::{Place, Sort, Tree};
use rustix::io::Errno;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is owed for a request.
pub enum Reply {
    /// Nothing.
    None,
    /// This.
    Now(Vec<u8>),
    /// What this returns, which may take as long as a transition does.
    Later(Box<dyn FnOnce() -> Vec<u8> + Send>),
}

/// A conversation with the kernel about one tree.
pub struct Session {
    tree: Arc<Tree>,
    handles: Handles,
    waiting: Arc<Waiting>,
    inodes: Inodes,
    lookups: AtomicU64,
}

type Answer = Result<Vec<u8>, Errno>;

fn place(request: &Request<'_>) -> Result<Place, Errno> {
    Place::of_number(request.node).ok_or(Errno::NOENT)
}

fn name<'a>(fields: &Fields<'a>) -> Result<&'a str, Errno> {
    let name = fields.name().ok_or(Errno::INVAL)?;
    // No name in the tree is anything but ASCII.
    std::str::from_utf8(name).map_err(|_| Errno::NOENT)
}

impl Session {
    /// About `tree`; its files belong to `uid` and `gid` and are as old as `since` says, in
    /// seconds since 1970.
    pub fn new(tree: Arc<Tree>, uid: u32, gid: u32, since: u64) -> Self {
        Self {
            tree,
            handles: Handles::default(),
            waiting: Arc::default(),
            inodes: Inodes::new(Owner { uid, gid, since }),
            lookups: AtomicU64::new(0),
        }
    }

    /// What is owed for a request.
    pub fn take(&self, bytes: &[u8]) -> Reply {
        let Some(request) = Request::parse(bytes) else {
            return Reply::None;
        };
        let answer = match request.opcode {
            Opcode::Forget | Opcode::BatchForget | Opcode::Destroy => return Reply::None,
            Opcode::Interrupt => {
                let mut body = request.body;
                if let Some(unique) = body.u64() {
                    self.waiting.interrupt(unique);
                }
                return Reply::None;
            }
            Opcode::Read => match self.read(&request) {
                Ok(reply) => return reply,
                Err(errno) => Err(errno),
            },
            Opcode::Write => match self.write(&request) {
                Ok(reply) => return reply,
                Err(errno) => Err(errno),
            },
            _ => self.at_once(&request),
        };
        let unique = request.unique;
        Reply::Now(answer.unwrap_or_else(|errno| replies::error(unique, errno)))
    }

    /// The answer to a request, however long it takes; empty if none is owed.
    pub fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        match self.take(bytes) {
            Reply::None => Vec::new(),
            Reply::Now(reply) => reply,
            Reply::Later(work) => work(),
        }
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    fn at_once(&self, request: &Request<'_>) -> Answer {
        let unique = request.unique;
        match request.opcode {
            Opcode::Init => Self::init(request),
            Opcode::Lookup => self.lookup(request),
            Opcode::GetAttr => {
                let inode = self.inodes.get(&self.tree, place(request)?)?;
                Ok(replies::attributes(unique, &inode))
            }
            Opcode::SetAttr => self.set_attributes(request),
            Opcode::ReadLink => {
                let target = self.tree.target(place(request)?)?;
                Ok(replies::data(unique, target.as_bytes()))
            }
            Opcode::Open => self.open(request),
            Opcode::OpenDir => {
                let entries = self.tree.list(place(request)?)?;
                Ok(replies::opened(
                    unique,
                    self.handles.open_directory(entries),
                    false,
                ))
            }
            Opcode::ReadDir => {
                let read = ReadIn::parse(request.body).ok_or(Errno::INVAL)?;
                let entries = self.handles.directory(read.handle)?;
                Ok(replies::entries(unique, &entries, read.offset, read.size))
            }
            Opcode::Release | Opcode::ReleaseDir => {
                let mut body = request.body;
                self.handles.close(body.u64().ok_or(Errno::INVAL)?);
                Ok(replies::empty(unique))
            }
            Opcode::Poll => self.poll(request),
            Opcode::StatFs => Ok(replies::statfs(unique)),
            Opcode::Access => {
                self.tree.attributes(place(request)?)?;
                Ok(replies::empty(unique))
            }
            // As sysfs answers, root included.
            Opcode::Create => Err(Errno::ACCESS),
            Opcode::MkNod
            | Opcode::MkDir
            | Opcode::Unlink
            | Opcode::RmDir
            | Opcode::Rename
            | Opcode::Rename2
            | Opcode::SymLink
            | Opcode::HardLink => Err(Errno::PERM),
            _ => Err(Errno::NOSYS),
        }
    }

    fn init(request: &Request<'_>) -> Answer {
        let mut body = request.body;
        let major = body.u32().ok_or(Errno::INVAL)?;
        body.skip(4).ok_or(Errno::INVAL)?;
        let max_readahead = body.u32().ok_or(Errno::INVAL)?;
        match major {
            MAJOR => Ok(replies::init(request.unique, max_readahead)),
            newer if newer > MAJOR => Ok(replies::version(request.unique)),
            _ => Err(Errno::PROTO),
        }
    }

    fn lookup(&self, request: &Request<'_>) -> Answer {
        let found = self.tree.lookup(place(request)?, name(&request.body)?)?;
        let inode = self.inodes.get(&self.tree, found)?;
        // A writer holds its inode's lock as long as it waits; the next one is not to wait for
        // that, since an unknown word or a signal is none of the first one's business.
        let number = match self.tree.write_waits(found) {
            true => found.alias(self.lookups.fetch_add(1, Ordering::Relaxed)),
            false => found.number(),
        };
        let known = (request.unique, number);
        Ok(replies::entry(known, &inode))
    }

    /// A size is taken and ignored, as by sysfs: that is how a file is opened for writing. That the
    /// caller may set this, the kernel has checked.
    fn set_attributes(&self, request: &Request<'_>) -> Answer {
        let set = SetAttrIn::parse(request.body).ok_or(Errno::INVAL)?;
        let inode = self
            .inodes
            .set(&self.tree, place(request)?, &set.change())?;
        Ok(replies::attributes(request.unique, &inode))
    }

    fn open(&self, request: &Request<'_>) -> Answer {
        let (place, mut body) = (place(request)?, request.body);
        let flags = body.u32().ok_or(Errno::INVAL)?;
        let inode = self.inodes.get(&self.tree, place)?;
        if inode.sort != Sort::File {
            return Err(if inode.sort == Sort::Directory {
                Errno::ISDIR
            } else {
                Errno::LOOP
            });
        }
        let (readable, writable) = match flags & 3 {
            0 => (true, false),
            1 => (false, true),
            2 => (true, true),
            _ => return Err(Errno::INVAL),
        };
        // Root too: what nobody may do, nobody opens a file for.
        if (readable && inode.mode & 0o444 == 0) || (writable && inode.mode & 0o222 == 0) {
            return Err(Errno::ACCESS);
        }
        let identity = self.tree.identity(place)?;
        let file = OpenFile::new(place, identity, readable, writable);
        Ok(replies::opened(
            request.unique,
            self.handles.open(file),
            true,
        ))
    }

    /// Always ready to read and write; until it was read there is also something new to read.
    fn poll(&self, request: &Request<'_>) -> Answer {
        const READY: u32 = 0x145;
        const NEW: u32 = 0xa;
        let mut body = request.body;
        let file = self.file(body.u64().ok_or(Errno::INVAL)?)?;
        let new = if file.was_read() { 0 } else { NEW };
        Ok(replies::ready(request.unique, READY | new))
    }

    /// An open file, if its block is still the one it was.
    fn file(&self, handle: u64) -> Result<Arc<OpenFile>, Errno> {
        let file = self.handles.file(handle)?;
        match self.tree.identity(file.place) {
            Ok(identity) if identity == file.identity => Ok(file),
            _ => Err(Errno::NODEV),
        }
    }

    fn read(&self, request: &Request<'_>) -> Result<Reply, Errno> {
        let read = ReadIn::parse(request.body).ok_or(Errno::INVAL)?;
        let (file, unique) = (self.file(read.handle)?, request.unique);
        if !file.readable {
            return Err(Errno::BADF);
        }
        if let Some(text) = file.kept(read.offset) {
            return Ok(Reply::Now(part(unique, &file, text, &read)));
        }
        let tree = self.tree.clone();
        if tree.born_with(file.place) & 0o444 == 0 {
            return Err(Errno::IO);
        }
        let waits = tree.read_waits(file.place);
        let work = move || match tree.read(file.place) {
            Ok(text) => part(unique, &file, text.into(), &read),
            Err(Errno::NOENT) => replies::error(unique, Errno::NODEV),
            Err(errno) => replies::error(unique, errno),
        };
        Ok(if waits {
            Reply::Later(Box::new(work))
        } else {
            Reply::Now(work())
        })
    }

    fn write(&self, request: &Request<'_>) -> Result<Reply, Errno> {
        let write = WriteIn::parse(request.body).ok_or(Errno::INVAL)?;
        let (file, unique) = (self.file(write.handle)?, request.unique);
        if !file.writable {
            return Err(Errno::BADF);
        }
        let (tree, data) = (self.tree.clone(), write.data.to_vec());
        if tree.born_with(file.place) & 0o222 == 0 {
            return Err(Errno::IO);
        }
        let waits = tree.write_waits(file.place);
        // Among those that wait before anyone can hear of its interruption.
        let place = self.waiting.enter(unique, request.pid);
        let work = move || match tree.write(file.place, &data, place.attempt()) {
            Ok(taken) => replies::written(unique, taken),
            Err(errno) => replies::error(unique, errno),
        };
        Ok(if waits {
            Reply::Later(Box::new(work))
        } else {
            Reply::Now(work())
        })
    }
}

/// What a read at an offset gets of a text, which is kept for the read behind it.
fn part(unique: u64, file: &OpenFile, text: Arc<[u8]>, read: &ReadIn) -> Vec<u8> {
    let from = usize::try_from(read.offset)
        .unwrap_or(usize::MAX)
        .min(text.len());
    let end = from.saturating_add(read.size).min(text.len());
    let reply = replies::data(unique, &text[from..end]);
    file.keep(text, read.offset.saturating_add((end - from) as u64));
    reply
}
