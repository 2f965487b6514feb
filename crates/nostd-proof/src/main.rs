//! A program with nothing below it but the kernel, which runs tests of the core.
//!
//! It proves two things. That the core *builds* without std: this program has a panic handler
//! of its own, and so has std, and there cannot be two. And that it *works* without std: the
//! tests run on a heap that is a static array, with locks that spin, without threads, clock,
//! environment or C library. Before the first test it asks the kernel to kill it for any
//! system call but `write` and `exit` (seccomp, strict mode), so nothing of that kind can hide.
//!
//! - `start`: the first instruction. `system`: the system calls, and printing. `panic`: what
//!   ends the program early. `heap`: the allocator. `memory`: what the compiler calls by name.
//! - `check`: how a test fails. `bench`: machines for tests. `tests`: the tests and their run.
//!
//! One thread from beginning to end. x86-64 Linux only: the core is the same elsewhere, and
//! another machine would show no more. Left out: callbacks that panic, which without std end
//! the program, and races between threads, which loom looks for.
#![no_std]
#![no_main]

extern crate alloc;

mod bench;
mod check;
mod heap;
mod memory;
mod panic;
mod start;
mod system;
mod tests;

/// Called by `start` on a fresh stack.
fn main() -> ! {
    if !system::allow_only_write_and_exit() {
        system::print(format_args!(
            "note: no seccomp here; stray system calls would not be noticed\n"
        ));
    }
    let failed = tests::run_all();
    system::exit(i32::from(failed > 0))
}
