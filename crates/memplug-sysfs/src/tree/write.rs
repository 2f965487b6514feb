//! What writing does, and with which error it fails.
//!
//! A handler sees one write at a time, of at most a page, as a C string. An unknown word is an
//! error before anything is waited for or changed; only a word for `power/control` waits for its block
//! first, as on Linux. A block that went while its file was open is
//! `ENODEV`.

use super::place::{Family, Place};
use super::table::{Kind, What};
use super::{Tree, uevent};
use memplug_control::{
    Attempt, ControlError, OnlineWord, PolicyChange, PolicyName, Subject, bool_of, same_word,
    text_of, unsigned_of,
};
use rustix::io::Errno;

/// What a handler sees of one write at most.
const PAGE: usize = 4096;

/// The error number a writer gets.
fn refused(error: &ControlError) -> Errno {
    match error {
        ControlError::NoSuchBlock { .. } | ControlError::NoSuchNode { .. } => Errno::NODEV,
        other => match other.errno().and_then(|errno| i32::try_from(errno).ok()) {
            // Beyond this FUSE has no numbers; nor has Linux for its users.
            Some(errno @ 1..=511) => Errno::from_raw_os_error(errno),
            Some(_) => Errno::IO,
            None => Errno::TIME,
        },
    }
}

impl Tree {
    /// Whether writing it may wait for transitions, its own included.
    pub fn write_waits(&self, file: Place) -> bool {
        let what = file.row().map(|row| row.what);
        matches!(what, Some(What::State | What::Online | What::PowerControl))
    }

    /// Writes a file. Returns how many bytes were taken.
    ///
    /// # Errors
    /// As Linux; nothing is changed then, except that a word sticks that was written to the
    /// `state` of a block online already.
    pub fn write(&self, file: Place, bytes: &[u8], attempt: &Attempt) -> Result<usize, Errno> {
        let row = file.row().ok_or(Errno::INVAL)?;
        match row.kind {
            Kind::Directory => return Err(Errno::ISDIR),
            Kind::Link(_) => return Err(Errno::INVAL),
            Kind::File(mode, _) if mode & 0o200 == 0 => return Err(Errno::ACCESS),
            Kind::File(..) => {}
        }
        let taken = &bytes[..bytes.len().min(PAGE)];
        if taken.is_empty() {
            // Never reaches a handler.
            return Ok(0);
        }
        let text = text_of(taken);
        match (file.family(), row.what) {
            (_, what) if what.is_power() => self.write_power(file, what, text)?,
            (_, What::Compact | What::PoolSize | What::Demote | What::DemoteSize) => {
                self.write_wish(file, row.what, text)?;
            }
            (Family::Block(id), What::State) => self.write_state(id, text, attempt)?,
            (Family::Block(id), What::Online) => self.write_online(id, text, attempt)?,
            (Family::Block(id), What::Uevent) => self.send(Subject::Block(id), taken)?,
            (Family::Node(id), What::Uevent) => self.send(Subject::Node(id), taken)?,
            (Family::Fixed, what) => self.write_fixed(file, what, taken)?,
            _ => return Err(Errno::INVAL),
        }
        Ok(taken.len())
    }

    fn write_state(&self, id: u64, text: &[u8], attempt: &Attempt) -> Result<(), Errno> {
        let control = self.control();
        let mut words = OnlineWord::ALL.into_iter();
        let done = if let Some(word) = words.find(|word| same_word(text, word.word())) {
            control.online(id, Some(word), attempt).map(drop)
        } else if same_word(text, "offline") {
            control.offline(id, attempt).map(drop)
        } else {
            return Err(Errno::INVAL);
        };
        done.map_err(|error| refused(&error))
    }

    fn write_online(&self, id: u64, text: &[u8], attempt: &Attempt) -> Result<(), Errno> {
        let online = bool_of(text).ok_or(Errno::INVAL)?;
        let done = if online {
            self.control().online(id, None, attempt).map(drop)
        } else {
            self.control().offline(id, attempt).map(drop)
        };
        match done {
            // A move to where the block already is, is no error here.
            Ok(()) | Err(ControlError::SameState { .. }) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }

    fn write_fixed(&self, file: Place, what: What, taken: &[u8]) -> Result<(), Errno> {
        let set = |name| {
            let change = PolicyChange::parse(name, taken).map_err(|error| refused(&error))?;
            let changed = self.control().change_policy(change);
            changed.map_err(|error| refused(&error))
        };
        match what {
            What::AutoOnline => set(PolicyName::AutoOnlineBlocks),
            What::OnlinePolicy => set(PolicyName::OnlinePolicy),
            What::AutoMovableRatio => set(PolicyName::AutoMovableRatio),
            What::AutoMovableNumaAware => set(PolicyName::AutoMovableNumaAware),
            What::Uevent
                if Place::TOP.child("memory").and_then(|m| m.child("uevent")) == Some(file) =>
            {
                self.send(Subject::MemoryRoot, taken)
            }
            What::Uevent => self.send(Subject::NodeRoot, taken),
            What::RefuseOnline | What::RefuseOffline => {
                self.inject.set(what == What::RefuseOnline, text_of(taken))
            }
            What::OfflinePage => self.offline_page(text_of(taken)),
            _ => Err(Errno::INVAL),
        }
    }

    fn send(&self, subject: Subject, taken: &[u8]) -> Result<(), Errno> {
        let (action, extra) = uevent::parse(taken).ok_or(Errno::INVAL)?;
        let sent = self.control().synthesize(subject, action, &extra);
        sent.map_err(|error| refused(&error))
    }

    /// Taking single pages out of use is not part of hotplug; where Linux would, this says so.
    fn offline_page(&self, text: &[u8]) -> Result<(), Errno> {
        let address = unsigned_of(text, u64::MAX).map_err(|_| Errno::INVAL)?;
        let block = address / self.machine()?.block_size.max(1);
        match self.control().block(block) {
            Ok(_) => Err(Errno::OPNOTSUPP),
            Err(_) => Err(Errno::NXIO),
        }
    }
}
