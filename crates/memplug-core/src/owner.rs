//! Owners: the holders of pages, by name, and how their pages are moved.
//!
//! Every allocation carries an owner. An owner of movable or releasable pages implements
//! [`PageOwner::migrate`]; the core finds the pages, gets target frames and calls it with
//! batches. The owner copies and redirects under its own locks, so a page that it freed a
//! moment ago is simply [`MoveOutcome::Gone`]. Lock order: the owner's locks lie below the
//! core's transactions and above its allocator; `migrate` and `reclaim` may free and allocate.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use memplug_frame::sync::Mutex;
use memplug_frame::{FrameTable, OwnerError, RESERVED};
use memplug_units::{Order, OwnerId, PageCount, Pfn};

/// What became of a page that was to be moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MoveOutcome {
    /// Not moved, no reason given: tried again.
    #[default]
    Untouched,
    /// Its contents are at the target and the owner uses it there. The core frees the old
    /// frame.
    Moved,
    /// The owner does not have it (any more). The core frees the target.
    Gone,
    /// In use just now; tried again.
    Busy,
    /// It must stay, says the owner, and why. Tried again, in case that ends.
    Pinned(Arc<str>),
}

/// One page (or chunk) to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageMove {
    /// Where it is.
    pub from: Pfn,
    /// Where it shall be. Allocated for the same owner, contents undefined.
    pub to: Pfn,
    /// Its order.
    pub order: Order,
    /// For the owner to set.
    pub outcome: MoveOutcome,
}

/// How an owner's pages are treated. All methods have a default, for owners of unmovable pages.
///
/// ```
/// use memplug_core::units::Pfn;
/// use memplug_core::{MoveOutcome, PageMove, PageOwner};
/// use std::sync::Mutex;
///
/// /// A list of pages, of which some are in use by a device.
/// struct Buffers(Mutex<Vec<(Pfn, bool)>>);
///
/// impl PageOwner for Buffers {
///     fn migrate(&self, moves: &mut [PageMove]) {
///         let mut buffers = self.0.lock().expect("nobody panics with it");
///         for page in moves {
///             let buffer = buffers.iter_mut().find(|(pfn, _)| *pfn == page.from);
///             page.outcome = match buffer {
///                 None => MoveOutcome::Gone,
///                 Some((_, true)) => MoveOutcome::Pinned("a transfer".into()),
///                 Some((pfn, false)) => {
///                     // Here the contents are copied.
///                     *pfn = page.to;
///                     MoveOutcome::Moved
///                 }
///             };
///         }
///     }
/// }
/// ```
pub trait PageOwner: Send + Sync {
    /// Moves pages: for each, copies the contents from `from` to `to`, uses `to` from then on
    /// and sets the outcome. Called within an offline, with no lock held.
    fn migrate(&self, moves: &mut [PageMove]) {
        let _ = moves;
    }

    /// Whether the page could be moved now, for plans: nothing is changed.
    fn can_migrate(&self, page: Pfn) -> MoveOutcome {
        let _ = page;
        MoveOutcome::Moved
    }

    /// Memory is short: frees up to `wanted` pages if it can. Returns how many it freed.
    fn reclaim(&self, wanted: PageCount) -> PageCount {
        let _ = wanted;
        PageCount::ZERO
    }
}

/// An owner of pages that stay where they are.
#[derive(Debug, Default)]
pub struct Stays;

impl PageOwner for Stays {}

struct Entry {
    name: Arc<str>,
    pages: Option<Arc<dyn PageOwner>>,
    /// Whether the allocator knows the number: one that was given out when memory was too short
    /// to make anything of it is lost.
    known: bool,
}

impl Entry {
    fn lost() -> Self {
        Self {
            name: Arc::from("nobody"),
            pages: None,
            known: false,
        }
    }
}

/// All owners of a machine.
pub(crate) struct Owners {
    entries: Mutex<Vec<Entry>>,
}

/// The right to allocate under a name. Clones are the same owner; when the last is dropped the
/// owner's callbacks are let go, and pages that are still allocated keep its name.
#[derive(Clone)]
pub struct Owner {
    id: OwnerId,
    _life: Arc<Life>,
}

struct Life {
    id: OwnerId,
    owners: Weak<Owners>,
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(owners) = self.owners.upgrade() {
            owners.retire(self.id);
        }
    }
}

impl Owner {
    /// Its number.
    #[inline]
    pub fn id(&self) -> OwnerId {
        self.id
    }
}

impl Owners {
    pub(crate) fn new() -> Arc<Self> {
        let reserved = Entry {
            name: Arc::from("reserved at boot"),
            pages: None,
            known: true,
        };
        Arc::new(Self {
            entries: Mutex::new(alloc::vec![reserved]),
        })
    }

    pub(crate) fn register(
        self: &Arc<Self>,
        frames: &FrameTable,
        name: &str,
        pages: Arc<dyn PageOwner>,
    ) -> Result<Owner, OwnerError> {
        let reusable = |entry: &Entry| entry.known && entry.pages.is_none() && &*entry.name == name;
        let id = self.entries.with(|entries| {
            // A name that comes back gets its number back: numbers are few.
            if let Some(at) = entries.iter().skip(1).position(reusable) {
                entries[at + 1].pages = Some(pages);
                return Ok(OwnerId::new((at + 1) as u16));
            }
            let id = frames.add_owner()?;
            // An entry is found by its number, so lost numbers keep their place.
            entries.resize_with(usize::from(id.get()), Entry::lost);
            entries.push(Entry {
                name: Arc::from(name),
                pages: Some(pages),
                known: true,
            });
            Ok(id)
        })?;
        Ok(Owner {
            id,
            _life: Arc::new(Life {
                id,
                owners: Arc::downgrade(self),
            }),
        })
    }

    fn retire(&self, id: OwnerId) {
        // The callbacks are dropped outside the lock: their drop may come back to us.
        let pages = self.entries.with(|entries| {
            entries
                .get_mut(usize::from(id.get()))
                .and_then(|entry| entry.pages.take())
        });
        drop(pages);
    }

    pub(crate) fn name(&self, id: OwnerId) -> Arc<str> {
        self.entries
            .with(|entries| {
                entries
                    .get(usize::from(id.get()))
                    .map(|entry| entry.name.clone())
            })
            .unwrap_or_else(|| Arc::from(alloc::format!("{id}")))
    }

    pub(crate) fn pages(&self, id: OwnerId) -> Option<Arc<dyn PageOwner>> {
        debug_assert_ne!(id, RESERVED);
        self.entries.with(|entries| {
            entries
                .get(usize::from(id.get()))
                .and_then(|e| e.pages.clone())
        })
    }

    /// Every owner that has callbacks.
    pub(crate) fn all(&self) -> Vec<Arc<dyn PageOwner>> {
        self.entries
            .with(|entries| entries.iter().filter_map(|e| e.pages.clone()).collect())
    }

    /// Names by number.
    pub(crate) fn names(&self) -> Vec<(OwnerId, String)> {
        self.entries.with(|entries| {
            let named = entries.iter().enumerate().filter(|(_, entry)| entry.known);
            named
                .map(|(i, e)| (OwnerId::new(i as u16), String::from(&*e.name)))
                .collect()
        })
    }
}
