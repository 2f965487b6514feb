//! What happens when the program cannot go on.
//!
//! This is the heart of the proof: std has a panic handler as well, and a program can only have
//! one, so std anywhere among the crates it is built from is an error of the compiler (E0152).
//!
//! There is no unwinding. The crates `core` and `alloc` come compiled for it all the same and
//! name its two entry points, which are therefore defined here, and never called.

// UNSAFETY: the entry points of unwinding have fixed names.

use crate::system::{exit, print};
use crate::tests::run_failed;
use core::arch::naked_asm;
use core::panic::PanicInfo;

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    print(format_args!("FAILED\n  {info}\n"));
    run_failed();
    exit(1)
}

// SAFETY: nothing else of this name is linked. Unwinding never begins, since every crate that
// is compiled here aborts instead, so nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// Naked, because the compiler knows this name: rustc 1.95 crashes if it has an ordinary body.
// SAFETY: as above. Only cleanup code calls it, which only unwinding enters.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _Unwind_Resume() {
    naked_asm!("ud2")
}
