//! Pages one can use: allocated, real, owned by one holder at a time.
//!
//! A [`Page`] is a chunk of frames that its holder alone may touch; dropping it frees them. An
//! allocated page keeps its block from going, unless its pool can relocate it: then, while the
//! block goes offline, the holder is asked to hand each page over for a moment
//! ([`Relocation::move_page`] takes it by `&mut`), and afterwards it lies in another block with
//! the same contents. No reference into a page can outlive that, since both are borrows of it.
//!
// UNSAFETY: turns frame numbers into slices of mapped memory, and copies between frames.

use crate::cpu;
use crate::error::PoolError;
use crate::machine::Inner;
use crate::sys::Stream;
use memplug_core::{MigrateType, MoveOutcome, Owner, PageError, PageMove, PageOwner, PageRequest};
use memplug_units::{NodeId, Order, PageCount, Pfn};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};

/// A right to pages of a machine, under one name.
#[derive(Clone)]
pub struct Pool(Arc<PoolInner>);

struct PoolInner {
    machine: Arc<Inner>,
    owner: Owner,
    movable: bool,
}

/// How the holder of movable pages moves them. Implemented by caches, allocators, regions.
pub trait Relocate: Send + Sync {
    /// Moves pages: find each by [`Relocation::from`] and hand it over, or say why not. Called
    /// while a block goes offline, on the thread of that operation, with up to 512 pages, in the
    /// order of their frames. Handing over many pages with one call of
    /// [`Relocation::move_pages`] is faster than one by one.
    fn relocate(&self, moves: &mut [Relocation<'_>]);

    /// Whether the page could be moved now; for plans. `Err` names what pins it.
    ///
    /// # Errors
    /// What pins the page.
    fn can_relocate(&self, page: Pfn) -> Result<(), Arc<str>> {
        let _ = page;
        Ok(())
    }

    /// Memory is short: drop up to `wanted` pages if possible; returns how many.
    fn reclaim(&self, wanted: PageCount) -> PageCount {
        let _ = wanted;
        PageCount::ZERO
    }
}

/// One page to be moved.
pub struct Relocation<'a> {
    step: &'a mut PageMove,
    machine: &'a Inner,
}

/// The page handed over is not the one to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page {given} is not {wanted}, which is to move; hand that one over")]
pub struct NotThisPage {
    /// The page handed over.
    pub given: Pfn,
    /// The page to be moved.
    pub wanted: Pfn,
}

impl Relocation<'_> {
    /// The first frame of the page to be moved.
    pub fn from(&self) -> Pfn {
        self.step.from
    }
    /// Where it will be.
    pub fn to(&self) -> Pfn {
        self.step.to
    }

    /// Moves the page: its contents are copied, and it lies at [`Relocation::to`] from now on.
    ///
    /// # Errors
    /// [`NotThisPage`]; nothing was moved.
    pub fn move_page(&mut self, page: &mut Page) -> Result<(), NotThisPage> {
        self.copy_page(page, &Stream::new())
    }

    /// Moves many pages, each as [`Relocation::move_page`] does. The holder lends them all until
    /// the last is copied, so that what is costly about copying is done once for all of them.
    ///
    /// ```
    /// use memplug::{Page, Relocate, Relocation};
    /// use std::sync::Mutex;
    ///
    /// /// Pages that lie anywhere.
    /// struct Buffers(Mutex<Vec<Page>>);
    ///
    /// impl Relocate for Buffers {
    ///     fn relocate(&self, moves: &mut [Relocation<'_>]) {
    ///         let mut pages = self.0.lock().expect("nobody panics with it");
    ///         pages.sort_by_key(Page::pfn);
    ///         let mut pages = pages.iter_mut().peekable();
    ///         // Both are in the order of frames now.
    ///         let pairs = moves.iter_mut().filter_map(|step| {
    ///             while pages.next_if(|page| page.pfn() < step.from()).is_some() {}
    ///             match pages.next_if(|page| page.pfn() == step.from()) {
    ///                 Some(page) => Some((step, page)),
    ///                 None => {
    ///                     step.gone();
    ///                     None
    ///                 }
    ///             }
    ///         });
    ///         Relocation::move_pages(pairs).expect("the very pages");
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The first [`NotThisPage`]. Such pages are left where they are, all others are moved.
    pub fn move_pages<'p, 'a: 'p>(
        pairs: impl IntoIterator<Item = (&'p mut Relocation<'a>, &'p mut Page)>,
    ) -> Result<(), NotThisPage> {
        // Dropped last, also when the iterator panics, and no page is anybody else's before:
        // `'p` outlives this call, whatever the iterator does.
        let stream = Stream::new();
        pairs
            .into_iter()
            .map(|(step, page)| step.copy_page(page, &stream))
            .fold(Ok(()), Result::and)
    }

    /// Whether the page was moved.
    pub fn is_moved(&self) -> bool {
        self.step.outcome == MoveOutcome::Moved
    }

    /// The copy is there for other threads when `stream` is dropped: until then `page` must
    /// stay borrowed.
    fn copy_page(&mut self, page: &mut Page, stream: &Stream) -> Result<(), NotThisPage> {
        // SAFETY: `page` is borrowed exclusively, so nobody writes to it, and only `page` leads to
        // the copy, which both callers hold borrowed until the stream is dropped.
        if unsafe { self.copy_out(page, stream) }? {
            // SAFETY: just copied, and borrowed exclusively.
            unsafe { self.arrive(page) };
        }
        Ok(())
    }

    /// Copies the page to where it will be. Whether that was done.
    ///
    /// # Safety
    /// Until `stream` is dropped nobody may write to the page, and nobody but the caller be led to
    /// the copy.
    pub(crate) unsafe fn copy_out(
        &self,
        page: &Page,
        stream: &Stream,
    ) -> Result<bool, NotThisPage> {
        let wanted = self.step.from;
        let same_machine = std::ptr::eq(&*page.pool.machine, self.machine);
        let fits = page.pfn == wanted && page.order == self.step.order;
        if !fits || !same_machine || self.is_moved() {
            return Err(NotThisPage {
                given: page.pfn,
                wanted,
            });
        }
        let arena = &self.machine.memory().arena;
        let from = self.machine.offset(page.as_ptr());
        let to = self.machine.offset(self.machine.address(self.step.to));
        let len = page.len() as u64;
        // SAFETY: both are allocated chunks of `len` bytes in mapped, writable blocks. The target
        // was allocated for this move and no reference to it exists. The rest is the caller's
        // promise.
        let copied = unsafe { arena.copy_in(stream, from, to, len) };
        debug_assert_eq!(copied, Ok(()));
        Ok(copied.is_ok())
    }

    /// The page is where its copy is.
    ///
    /// # Safety
    /// It is the page that [`Relocation::copy_out`] copied, and has not been written to since.
    pub(crate) unsafe fn arrive(&mut self, page: &mut Page) {
        page.pfn = self.step.to;
        self.step.outcome = MoveOutcome::Moved;
    }

    /// The holder does not have the page any more.
    pub fn gone(&mut self) {
        self.step.outcome = MoveOutcome::Gone;
    }
    /// The page is in use just now; try again.
    pub fn busy(&mut self) {
        self.step.outcome = MoveOutcome::Busy;
    }
    /// The page must stay, and why; tried again in case that ends.
    pub fn pinned(&mut self, by: impl Into<Arc<str>>) {
        self.step.outcome = MoveOutcome::Pinned(by.into());
    }
}

/// The core's owner over a holder of pages.
pub(crate) struct Holder {
    pub(crate) machine: Weak<Inner>,
    pub(crate) pages: Weak<dyn Relocate>,
}

impl PageOwner for Holder {
    fn migrate(&self, moves: &mut [PageMove]) {
        let (Some(machine), Some(pages)) = (self.machine.upgrade(), self.pages.upgrade()) else {
            // The holder is gone and its pages with it, or about to be.
            moves
                .iter_mut()
                .for_each(|step| step.outcome = MoveOutcome::Busy);
            return;
        };
        let mut steps: Vec<Relocation<'_>> = moves
            .iter_mut()
            .map(|step| Relocation {
                step,
                machine: &machine,
            })
            .collect();
        pages.relocate(&mut steps);
    }

    fn can_migrate(&self, page: Pfn) -> MoveOutcome {
        match self.pages.upgrade().map(|pages| pages.can_relocate(page)) {
            Some(Err(by)) => MoveOutcome::Pinned(by),
            Some(Ok(())) | None => MoveOutcome::Moved,
        }
    }

    fn reclaim(&self, wanted: PageCount) -> PageCount {
        self.pages
            .upgrade()
            .map_or(PageCount::ZERO, |pages| pages.reclaim(wanted))
    }
}

impl Pool {
    pub(crate) fn new(machine: Arc<Inner>, owner: Owner, movable: bool) -> Self {
        Self(Arc::new(PoolInner {
            machine,
            owner,
            movable,
        }))
    }

    /// One page, preferably from `node`: movable if the pool's holder can move it, else
    /// unmovable. Its contents are whatever was there before.
    ///
    /// # Errors
    /// [`PoolError::Page`] when there is no memory.
    pub fn page_on(&self, node: NodeId) -> Result<Page, PoolError> {
        let kind = if self.0.movable {
            MigrateType::Movable
        } else {
            MigrateType::Unmovable
        };
        self.page(&PageRequest::new(kind, node))
    }

    /// A page or chunk as requested. A movable one from a pool without a holder stays where it
    /// is all the same, and is named as a blocker.
    ///
    /// # Errors
    /// [`PoolError::Page`] when there is no memory.
    pub fn page(&self, request: &PageRequest) -> Result<Page, PoolError> {
        let machine = &self.0.machine;
        let pfn = machine
            .hotplug()
            .alloc(cpu::current(), &self.0.owner, request)?;
        Ok(Page {
            pool: self.0.clone(),
            pfn,
            order: request.wanted_order(),
        })
    }

    /// As [`Pool::page`], filled with zeroes.
    ///
    /// # Errors
    /// As [`Pool::page`].
    pub fn zeroed(&self, request: &PageRequest) -> Result<Page, PoolError> {
        let mut page = self.page(request)?;
        page.fill(0);
        Ok(page)
    }

    /// Whether a request failed for want of memory.
    pub fn is_out_of_memory(error: &PoolError) -> bool {
        matches!(error, PoolError::Page(PageError::NoMemory { .. }))
    }
}

/// A chunk of real memory. Dereferences to its bytes; dropping it frees it.
pub struct Page {
    pool: Arc<PoolInner>,
    pfn: Pfn,
    order: Order,
}

impl Page {
    /// Its first frame, until it is moved.
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }
    /// Its order.
    pub fn order(&self) -> Order {
        self.order
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.pool.machine.address(self.pfn)
    }

    fn len(&self) -> usize {
        1 << self.len_shift()
    }
    /// Binary logarithm of its length in bytes.
    pub(crate) fn len_shift(&self) -> u32 {
        self.pool.machine.page_bytes().trailing_zeros() + u32::from(self.order.get())
    }
}

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the frames are allocated to this page, so their block is online, mapped
        // readable and writable, and is not unmapped before they are freed; every byte of
        // mapped memory is initialised. Only this page's holder has a way to them, and writing
        // needs `&mut self`. Moving needs `&mut self`, too.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len()) }
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.len()) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let freed = self
            .pool
            .machine
            .hotplug()
            .free(self.pfn, self.order, &self.pool.owner);
        debug_assert_eq!(freed, Ok(()));
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({}, order {})", self.pfn, self.order)
    }
}
