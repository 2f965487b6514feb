//! The first instruction of the program.
//!
//! The kernel jumps here with a stack that is aligned to 16 bytes and has the arguments on it,
//! which nobody reads. All that is to be done is to mark the outermost frame and to call.

// UNSAFETY: the entry point has a fixed name and is no function that anyone could call.

use core::arch::naked_asm;

// SAFETY: nothing else of this name is linked, since there are no start files; the body keeps
// the stack aligned as `extern "C"` wants it before a call, and does not return.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!(
        "xor ebp, ebp",
        "and rsp, -16",
        "call {main}",
        "ud2",
        main = sym enter,
    )
}

extern "C" fn enter() -> ! {
    crate::main()
}
