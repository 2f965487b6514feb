//! The functions that the compiler calls by name to copy, fill and compare bytes.
//!
//! They usually come from the C library. Written with string instructions, because a loop would
//! be recognised as what it is and turned into a call of itself. The direction flag is clear,
//! as the ABI promises, except between `std` and `cld` in [`memmove`].

// UNSAFETY: the contracts are those of C, in raw pointers, under fixed names.

use core::arch::asm;

/// Copies `count` bytes from `from` to `to`.
///
/// # Safety
/// Both must be valid for `count` bytes and must not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: reads and writes `count` bytes, forwards, which the caller vouches for.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// Copies `count` bytes from `from` to `to`, which may overlap.
///
/// # Safety
/// Both must be valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // Forwards is right unless `to` lies inside what is still to be read.
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: as `memcpy`; a byte is overwritten only after it was read.
        return unsafe { memcpy(to, from, count) };
    }
    let last = count.wrapping_sub(1);
    // SAFETY: `count` is not 0 here, so the last bytes exist; it reads and writes `count` bytes
    // backwards, a byte only after it was read, and clears the direction flag again.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") count => _,
            inout("rdi") to.wrapping_add(last) => _,
            inout("rsi") from.wrapping_add(last) => _,
            options(nostack),
        );
    }
    to
}

/// Sets `count` bytes at `to` to the low byte of `value`.
///
/// # Safety
/// `to` must be valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: writes `count` bytes, forwards, which the caller vouches for.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            in("al") value as u8,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// Compares `count` bytes: below, equal to or above zero as `a` is to `b`.
///
/// # Safety
/// Both must be valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    let (above, below): (u8, u8);
    // SAFETY: reads at most `count` bytes of each, forwards. The comparison before makes the
    // flags say "equal" if there is no byte at all.
    unsafe {
        asm!(
            "cmp ecx, ecx",
            "repe cmpsb",
            "seta {above}",
            "setb {below}",
            inout("rcx") count => _,
            inout("rsi") a => _,
            inout("rdi") b => _,
            above = lateout(reg_byte) above,
            below = lateout(reg_byte) below,
            options(nostack, readonly),
        );
    }
    i32::from(above) - i32::from(below)
}

/// Compares `count` bytes: zero if they are equal.
///
/// # Safety
/// Both must be valid for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(a, b, count) }
}
