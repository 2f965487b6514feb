//! Words and locks that tell an observer of each access, built with `--cfg coherence`: the model of cache
//! coherence in `tests/coherence`.
//!
//! A counted word is laid out as the word of the standard library that it wraps, so that the lines are
//! those of the ordinary build. Left out: what is no atomic word or lock of `sync`.

#[cfg(coherence)]
extern crate std;

use super::{Ordering, atomic};
use core::panic::Location;
use std::sync::OnceLock;

/// What an access does with its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reads it.
    Load,
    /// It writes it.
    Store,
    /// A read-modify-write.
    Change,
}

/// One access of a word.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Where the word lies.
    pub address: usize,
    /// What is done.
    pub kind: Kind,
    /// Where that stands in the source.
    pub place: &'static Location<'static>,
}

static OBSERVER: OnceLock<fn(&Access)> = OnceLock::new();

/// From now on `observer` is told of every access, by the accessing thread. The first observer stays.
pub fn observe(observer: fn(&Access)) {
    let _ = OBSERVER.set(observer);
}

fn tell(address: usize, kind: Kind, place: &'static Location<'static>) {
    if let Some(observer) = OBSERVER.get() {
        observer(&Access {
            address,
            kind,
            place,
        });
    }
}

#[track_caller]
fn access<T>(word: &T, kind: Kind) {
    tell(core::ptr::from_ref(word).addr(), kind, Location::caller());
}

/// A lock that is held: taken by a read-modify-write, given back by a store.
pub(super) struct Taken<'a, T> {
    lock: &'a T,
    place: &'static Location<'static>,
}

impl<'a, T> Taken<'a, T> {
    #[track_caller]
    pub(super) fn new(lock: &'a T) -> Self {
        access(lock, Kind::Change);
        let place = Location::caller();
        Self { lock, place }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let address = core::ptr::from_ref(self.lock).addr();
        tell(address, Kind::Store, self.place);
    }
}

macro_rules! counted {
    ($name:ident, $value:ty, { $($change:ident),* }) => {
        #[doc = concat!("[`core::sync::atomic::", stringify!($name), "`], counted.")]
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        impl $name {
            /// A word with this value.
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }
            /// Its value.
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                access(self, Kind::Load);
                self.0.load(order)
            }
            /// Gives it a value.
            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                access(self, Kind::Store);
                self.0.store(value, order);
            }
            /// Gives it a value if it still has the one expected.
            ///
            /// # Errors
            /// The value it has instead.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                expected: $value,
                value: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                access(self, Kind::Change);
                self.0.compare_exchange(expected, value, success, failure)
            }
            /// The same: nothing fails without a reason here.
            ///
            /// # Errors
            /// The value it has instead.
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                expected: $value,
                value: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(expected, value, success, failure)
            }
            /// A load, and then a compare-and-swap for each try.
            ///
            /// # Errors
            /// The value for which `f` had no other.
            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut now = self.load(fetch);
                while let Some(value) = f(now) {
                    match self.compare_exchange(now, value, set, fetch) {
                        Ok(old) => return Ok(old),
                        Err(other) => now = other,
                    }
                }
                Err(now)
            }
            $(
                /// A read-modify-write, as of the word that it wraps.
                #[track_caller]
                pub fn $change(&self, value: $value, order: Ordering) -> $value {
                    access(self, Kind::Change);
                    self.0.$change(value, order)
                }
            )*
            /// Its value, for its only holder: not counted.
            pub fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }
            /// Its last value.
            pub fn into_inner(self) -> $value {
                self.0.into_inner()
            }
        }
    };
}

macro_rules! counted_number {
    ($name:ident, $value:ty) => {
        counted!($name, $value, {
            swap, fetch_add, fetch_sub, fetch_and, fetch_or, fetch_xor, fetch_max, fetch_min
        });
    };
}

counted_number!(AtomicU64, u64);
counted_number!(AtomicU32, u32);
counted_number!(AtomicI64, i64);
counted!(AtomicBool, bool, { swap, fetch_and, fetch_or, fetch_xor });
