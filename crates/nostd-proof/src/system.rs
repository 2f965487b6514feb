//! The three system calls of the program, and printing with one of them.
//!
//! `prctl` is called once, to give up all but `write` and `exit`. Printing goes to standard
//! output unbuffered and does not allocate, so that the panic handler can use it; what cannot
//! be written is dropped, and the exit status still tells.

// UNSAFETY: system calls are instructions.

use core::arch::asm;
use core::fmt;

const WRITE: usize = 1;
/// Ends the thread, and so the program; `exit_group` is not allowed in strict mode.
const EXIT: usize = 60;
const PRCTL: usize = 157;
const PR_SET_SECCOMP: usize = 22;
const SECCOMP_MODE_STRICT: usize = 1;
const STDOUT: usize = 1;
const EINTR: isize = -4;

/// Makes a system call with three arguments.
///
/// # Safety
/// What the call does with its arguments must be sound.
unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> isize {
    let result: isize;
    // SAFETY: `syscall` changes rax, rcx and r11 and no others, and leaves the stack alone; the
    // caller answers for the rest.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// From now on the kernel kills the program for any system call but `read`, `write`, `exit`
/// and `sigreturn`. Returns whether it agreed.
pub fn allow_only_write_and_exit() -> bool {
    // SAFETY: takes no pointer; what it forbids is never used again.
    unsafe { call(PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0) == 0 }
}

/// Ends the program.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: takes no pointer and does not return.
        let _ = unsafe { call(EXIT, status as usize, 0, 0) };
    }
}

/// Standard output.
struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            // SAFETY: `rest` is readable for its length and the kernel only reads it.
            let written = unsafe { call(WRITE, STDOUT, rest.as_ptr() as usize, rest.len()) };
            match usize::try_from(written) {
                Ok(0) => return Err(fmt::Error),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(_) if written == EINTR => {}
                Err(_) => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

/// Prints; use it with `format_args!`.
pub fn print(text: fmt::Arguments<'_>) {
    let _ = fmt::Write::write_fmt(&mut Output, text);
}
