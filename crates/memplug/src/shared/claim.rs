//! Moving pages while they are read.
//!
//! A mover claims cells, copies their pages, locks the cells, looks once for all of them which are
//! read, and says of each page that no thread reads where it is now. A page that is read stays, and
//! its copy goes. So readers wait for a moment without copying in it, and all processors pass one
//! fence for as many pages as are moved together.
//
// UNSAFETY: as the module above, and copies pages that others read.

use super::readers::Reading;
use super::{Place, SharedPages, place_of, readers};
use crate::page::{NotThisPage, Page, Relocation};
use crate::sys::Stream;
use std::fmt;

/// A cell's page that nobody else moves or takes, though others read it.
///
/// [`Relocation::move_claimed`] moves it.
pub struct Claim<'s> {
    pages: &'s SharedPages,
    at: usize,
    place: Place,
}

impl<'s> Claim<'s> {
    pub(super) fn new(pages: &'s SharedPages, at: usize) -> Option<Self> {
        let place = pages.cells.claim(at)?;
        Some(Self { pages, at, place })
    }

    /// The page.
    pub fn page(&self) -> Option<&Page> {
        // SAFETY: the cell is claimed, so nobody changes it but `arrive`, which borrows `self`
        // mutably: I-SHARE-2.
        unsafe { &*self.pages.pages[self.at].get() }.as_ref()
    }

    /// Keeps new readers away.
    fn lock(&mut self) {
        self.pages.cells.lock_claimed(self.at, self.place);
    }

    /// Of a locked claim: moves the page if nobody reads it, and lets readers in again. Whether it
    /// was moved.
    ///
    /// # Safety
    /// `step` has copied the page since it was claimed.
    unsafe fn arrive(&mut self, step: &mut Relocation<'_>, reading: &Reading) -> bool {
        let alone = !self.pages.cells.is_read(self.at, reading);
        if alone {
            // SAFETY: the cell is claimed and locked by us, nobody reads it, and this borrow of
            // the claim is the only one, so no `PageRef` and no borrow of the page lives:
            // I-SHARE-2.
            let page = unsafe { &mut *self.pages.pages[self.at].get() };
            if let Some(page) = page {
                // SAFETY: the caller says that it was copied, and since the cell is claimed nobody
                // has written to it.
                unsafe { step.arrive(page) };
                self.place = place_of(page);
            }
        }
        self.pages.cells.unlock_claimed(self.at, self.place);
        alone
    }
}

impl Relocation<'_> {
    /// Moves many pages that others may read meanwhile: each as [`Relocation::move_page`] does, if
    /// nobody reads it when all are copied, or else the page stays and is [busy](Self::busy).
    ///
    /// # Errors
    /// The first [`NotThisPage`]. Such pages are left where they are.
    pub fn move_claimed<'p, 'a: 'p, 's: 'p>(
        pairs: impl IntoIterator<Item = (&'p mut Relocation<'a>, &'p mut Claim<'s>)>,
    ) -> Result<(), NotThisPage> {
        let mut result = Ok(());
        let mut copied = Vec::new();
        // Dropped before anybody is led to a copy, and when the iterator panics.
        let stream = Stream::new();
        for (step, claim) in pairs {
            let Some(page) = claim.page() else { continue };
            // SAFETY: nobody writes to a shared page, and while it is claimed, which it is until
            // `claim` is dropped, nobody takes it to write to it, I-SHARE-2; nobody is told of
            // the copy until the stream is dropped.
            match unsafe { step.copy_out(page, &stream) } {
                Ok(true) => copied.push((step, claim)),
                Ok(false) => {}
                Err(other) => result = result.and(Err(other)),
            }
        }
        drop(stream);
        copied.iter_mut().for_each(|(_, claim)| claim.lock());
        let reading = readers::all().reading();
        for (step, claim) in copied {
            // SAFETY: just copied.
            let arrived = unsafe { claim.arrive(step, &reading) };
            if !arrived {
                step.busy();
            }
        }
        result
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.pages.cells.unclaim(self.at);
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:?})", self.place)
    }
}
