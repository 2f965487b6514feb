//! How a test fails: with a place and a sentence, and the others run on.
//!
//! A panic would end the program here, so tests return. An error of the core that a test did
//! not expect becomes a failure by `?`, at the place of the `?`.

use alloc::format;
use alloc::string::String;
use core::error::Error;
use core::fmt::Debug;
use core::panic::Location;

/// Where and why a test failed.
pub struct Failure(pub String);

/// What a test comes to.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// At the place of the caller.
    #[track_caller]
    pub fn here(what: &str) -> Self {
        let place = Location::caller();
        Self(format!("{}:{}: {what}", place.file(), place.line()))
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::here(&format!("unexpected error: {error}"))
    }
}

/// Fails unless both are equal.
#[track_caller]
pub fn equal<A: Debug + PartialEq<B>, B: Debug>(got: A, expected: B) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(Failure::here(&format!(
        "got      {got:?}\n    expected {expected:?}"
    )))
}

/// Fails, saying `otherwise`, unless it holds.
#[track_caller]
pub fn holds(it: bool, otherwise: &str) -> Outcome {
    if it {
        Ok(())
    } else {
        Err(Failure::here(otherwise))
    }
}

/// The error of something that must fail.
#[track_caller]
pub fn error_of<T: Debug, E>(result: Result<T, E>) -> Result<E, Failure> {
    match result {
        Ok(value) => Err(Failure::here(&format!("no error, but {value:?}"))),
        Err(error) => Ok(error),
    }
}

/// The value of something that must be there.
#[track_caller]
pub fn some<T>(value: Option<T>, otherwise: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::here(otherwise))
}
