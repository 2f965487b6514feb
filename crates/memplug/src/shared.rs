//! Pages that many threads read while they may be moved or taken away.
//!
//! [`SharedPages`] has a number of cells, each with a page or none. Reading announces itself with
//! a store and no locked instruction, and keeps no other thread from reading. A thread that wants
//! to move or take pages asks for many cells at once and gets those that no thread reads and no
//! other thread has. A thread that only moves pages claims them, copies them while they are read,
//! and needs them alone for no longer than it takes to say where they are now.
//!
//! - `cell`: a word a cell. `readers`: which cells are read. `claim`: moving.
//!
//! I-SHARE-1: a page and what stands in it change only through an [`Exclusive`] or a
//! [`Vacant`], and while one of a cell lives, no [`PageRef`] of the cell does. I-SHARE-2: while a
//! cell is claimed, its page moves by the [`Claim`] alone, when nobody has a [`PageRef`], and
//! nothing else about it changes. Lock order: none; nobody waits here.
//!
//! Left out: writing to shared pages.
//
// UNSAFETY: hands out references to pages by a protocol that the compiler does not know.

use crate::page::Page;
use memplug_core::frame::sync::AtomicU32;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::{ptr, slice};

#[doc(hidden)]
pub mod cell;
mod claim;
#[doc(hidden)]
pub mod readers;

use cell::{Cells, Hold, Look, Place};
pub use claim::Claim;

/// Cells for pages that are read by many.
///
/// ```
/// use memplug::{Bytes, Machine, NodeId, OnlineWord, Seen, SharedPages};
///
/// let machine = Machine::builder().block_size(Bytes::new(2 << 20)).build()?;
/// machine.plug(NodeId::new(0), Bytes::new(2 << 20), OnlineWord::Kernel)?;
/// let pool = machine.pool("shared")?;
///
/// let pages = SharedPages::new(8);
/// let mut page = pool.page_on(NodeId::new(0))?;
/// page[..5].copy_from_slice(b"hello");
/// pages.vacant(3).expect("it is empty").fill(page);
///
/// let Seen::Page(bytes) = pages.read(3) else { panic!("there is one") };
/// assert_eq!(&bytes[..5], b"hello");
/// assert!(pages.exclusive(&[3])[0].is_none(), "it is being read");
/// drop(bytes);
/// let taken = pages.exclusive(&[3]).remove(0).map(|page| page.take());
/// assert!(taken.is_some() && matches!(pages.read(3), Seen::Nothing));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedPages {
    cells: Cells,
    /// The page of each cell. Changed only by the thread that has locked the cell, alone.
    pages: Box<[UnsafeCell<Option<Page>>]>,
}

// SAFETY: a page in a cell is read by threads that announced themselves in time, and changed by the
// thread that locked the cell and found no reader announced (I-SHARE-1, I-SHARE-2); pages are Send
// and Sync.
unsafe impl Sync for SharedPages {}

/// What [`SharedPages::read`] finds.
#[derive(Debug)]
pub enum Seen<'s> {
    /// No page there.
    Nothing,
    /// Somebody has the page for a moment, to move it or to take it away: look again.
    Busy,
    /// The page.
    Page(PageRef<'s>),
}

impl SharedPages {
    /// So many cells without pages.
    pub fn new(cells: usize) -> Self {
        Self {
            cells: Cells::new(cells),
            pages: (0..cells).map(|_| UnsafeCell::new(None)).collect(),
        }
    }

    /// Cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }
    /// Whether there are no cells at all.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// A word of each cell for the caller's own use; 0 at first.
    #[inline]
    pub fn mark(&self, at: usize) -> Option<&AtomicU32> {
        self.cells.mark(at)
    }

    /// Looks into a cell. A page that is found stays where it is until the reference is dropped.
    #[inline]
    pub fn read(&self, at: usize) -> Seen<'_> {
        match self.cells.look(at, readers::mine()) {
            Look::Nothing => Seen::Nothing,
            Look::Locked => Seen::Busy,
            Look::Page(hold) => Seen::Page(PageRef {
                page: &self.pages[at],
                hold,
            }),
        }
    }

    /// A cell without a page, until the answer is dropped or filled. `None` if there is a page,
    /// or somebody else is at it.
    pub fn vacant(&self, at: usize) -> Option<Vacant<'_>> {
        let locked = self.cells.lock_vacant(at);
        // Not `then_some`: one that is made and dropped opens the cell.
        locked.then(|| Vacant { pages: self, at })
    }

    /// The pages of these cells, each for the caller alone; `None` for those without a page, and
    /// those that somebody reads or has. Asking for many at once costs little more than asking
    /// for one.
    pub fn exclusive(&self, cells: &[usize]) -> Vec<Option<Exclusive<'_>>> {
        let lock = |&at: &usize| Some((at, self.cells.lock(at)?));
        let locked: Vec<Option<(usize, Place)>> = cells.iter().map(lock).collect();
        let held: Vec<(usize, Place)> = locked.iter().copied().flatten().collect();
        if held.is_empty() {
            return locked.iter().map(|_| None).collect();
        }
        let mut alone = self
            .cells
            .without_readers(&held, readers::all())
            .into_iter();
        let take = |locked: Option<(usize, Place)>| {
            let (at, _) = locked?;
            let alone = alone.next().unwrap_or(false);
            alone.then(|| self.taken(at)).flatten()
        };
        locked.into_iter().map(take).collect()
    }

    /// The page of a cell, for the caller alone to move; `None` if there is none, or somebody else
    /// has it. Others read it meanwhile.
    pub fn claim(&self, at: usize) -> Option<Claim<'_>> {
        Claim::new(self, at)
    }

    /// The page of a cell that this thread has locked, alone.
    fn taken(&self, at: usize) -> Option<Exclusive<'_>> {
        // SAFETY: the cell is locked by this thread, and nobody reads it: I-SHARE-1.
        let page = unsafe { &mut *self.pages[at].get() }.take();
        let Some(page) = page else {
            debug_assert!(false, "a place without a page");
            self.cells.unlock(at, Place::NONE);
            return None;
        };
        Some(Exclusive {
            vacant: ManuallyDrop::new(Vacant { pages: self, at }),
            page: ManuallyDrop::new(page),
        })
    }
}

impl fmt::Debug for SharedPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedPages({} cells)", self.len())
    }
}

/// A page that is being read. Its bytes.
pub struct PageRef<'s> {
    page: &'s UnsafeCell<Option<Page>>,
    hold: Hold<'s>,
}

// SAFETY: as for `SharedPages`; an announcement may end on any thread.
unsafe impl Send for PageRef<'_> {}
// SAFETY: as above; sharing it shares what can be read only.
unsafe impl Sync for PageRef<'_> {}

impl PageRef<'_> {
    /// The cell's word for the caller's own use, as [`SharedPages::mark`] gives it.
    #[inline]
    pub fn mark(&self) -> &AtomicU32 {
        self.hold.mark()
    }

    /// The page itself.
    pub fn page(&self) -> Option<&Page> {
        // SAFETY: announced and found unlocked, so nobody changes the cell until `hold` is
        // dropped, and this borrow ends before: I-SHARE-1.
        unsafe { &*self.page.get() }.as_ref()
    }
}

impl Deref for PageRef<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let place = self.hold.place();
        let start = ptr::with_exposed_provenance(place.address());
        // SAFETY: the place is that of the cell's page; the page's address was exposed when it was
        // put there; the page stays in the cell, and is not written to, until `hold` is dropped,
        // and this borrow ends before: I-SHARE-1. All bytes of a page are initialised.
        unsafe { slice::from_raw_parts(start, place.len()) }
    }
}

impl fmt::Debug for PageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageRef({:?})", self.hold.place())
    }
}

/// A cell without a page that nobody else can fill meanwhile.
pub struct Vacant<'s> {
    pages: &'s SharedPages,
    at: usize,
}

impl Vacant<'_> {
    /// Puts a page there for all to read.
    pub fn fill(self, page: Page) {
        ManuallyDrop::new(self).put(page);
    }

    fn put(&self, page: Page) {
        let place = place_of(&page);
        // SAFETY: the cell is locked by us, and nobody reads it: I-SHARE-1.
        unsafe { *self.pages.pages[self.at].get() = Some(page) };
        self.pages.cells.unlock(self.at, place);
    }
}

/// Where a page is, to be told to readers.
fn place_of(page: &Page) -> Place {
    Place::new(page.as_ptr().expose_provenance(), page.len_shift())
}

impl Drop for Vacant<'_> {
    fn drop(&mut self) {
        self.pages.cells.unlock(self.at, Place::NONE);
    }
}

impl fmt::Debug for Vacant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vacant")
    }
}

/// A cell's page that nobody else reads or has. Dropping it puts the page, or what it was
/// replaced with, back for all to read.
pub struct Exclusive<'s> {
    vacant: ManuallyDrop<Vacant<'s>>,
    page: ManuallyDrop<Page>,
}

impl Exclusive<'_> {
    /// Takes the page out of its cell.
    pub fn take(self) -> Page {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used any more, and not dropped either.
        let vacant = unsafe { ManuallyDrop::take(&mut this.vacant) };
        drop(vacant);
        // SAFETY: as above.
        unsafe { ManuallyDrop::take(&mut this.page) }
    }
}

impl Deref for Exclusive<'_> {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl DerefMut for Exclusive<'_> {
    fn deref_mut(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        // SAFETY: taken once, here; the field is not used afterwards.
        let page = unsafe { ManuallyDrop::take(&mut self.page) };
        self.vacant.put(page);
    }
}

impl fmt::Debug for Exclusive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exclusive({:?})", &**self)
    }
}
