//! Open files and directories.
//!
//! A file's text is made when it is read, and kept for a read that goes on where that one ended,
//! so that a reader sees one moment; a read from the beginning or from anywhere else makes it
//! anew, as the kernel does. Writing does not touch it. A directory's entries are those of the moment it was opened.

use crate::tree::{Entry, Place};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open file.
pub(super) struct OpenFile {
    pub(super) place: Place,
    /// What tells its block from a later one of that number.
    pub(super) identity: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The text last read, and where its reader was then.
    text: Mutex<Option<(Arc<[u8]>, u64)>>,
}

impl OpenFile {
    pub(super) fn new(place: Place, identity: u64, readable: bool, writable: bool) -> Self {
        Self {
            place,
            identity,
            readable,
            writable,
            text: Mutex::default(),
        }
    }

    /// The text to read from at this offset, if a reader goes on there.
    pub(super) fn kept(&self, offset: u64) -> Option<Arc<[u8]>> {
        let kept = locked(&self.text);
        let (text, next) = kept.as_ref()?;
        (offset != 0 && offset == *next).then(|| text.clone())
    }

    /// Whether it was read at all.
    pub(super) fn was_read(&self) -> bool {
        locked(&self.text).is_some()
    }

    /// Keeps it for a reader that is at `next` now.
    pub(super) fn keep(&self, text: Arc<[u8]>, next: u64) {
        *locked(&self.text) = Some((text, next));
    }
}

enum Handle {
    File(Arc<OpenFile>),
    Directory(Arc<[Entry]>),
}

#[derive(Default)]
struct Table {
    last: u64,
    open: HashMap<u64, Handle>,
}

/// Everything that is open.
#[derive(Default)]
pub(super) struct Handles(Mutex<Table>);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handles {
    fn insert(&self, handle: Handle) -> u64 {
        let mut table = locked(&self.0);
        table.last = table.last.wrapping_add(1);
        let number = table.last;
        table.open.insert(number, handle);
        number
    }

    pub(super) fn open(&self, file: OpenFile) -> u64 {
        self.insert(Handle::File(Arc::new(file)))
    }

    pub(super) fn open_directory(&self, entries: Vec<Entry>) -> u64 {
        self.insert(Handle::Directory(entries.into()))
    }

    pub(super) fn file(&self, number: u64) -> Result<Arc<OpenFile>, Errno> {
        match locked(&self.0).open.get(&number) {
            Some(Handle::File(file)) => Ok(file.clone()),
            _ => Err(Errno::BADF),
        }
    }

    pub(super) fn directory(&self, number: u64) -> Result<Arc<[Entry]>, Errno> {
        match locked(&self.0).open.get(&number) {
            Some(Handle::Directory(entries)) => Ok(entries.clone()),
            _ => Err(Errno::BADF),
        }
    }

    pub(super) fn close(&self, number: u64) {
        locked(&self.0).open.remove(&number);
    }
}
