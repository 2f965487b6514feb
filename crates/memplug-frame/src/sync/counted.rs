//! Words that tell the [model of cache coherence](super::coherence) of each access.
//!
//! A counted word is laid out as the word of the standard library that it wraps, so that the lines are
//! those of the ordinary build.

use super::coherence::{Kind, access};
use super::{Ordering, atomic};

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
