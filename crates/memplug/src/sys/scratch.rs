//! What the tests of the edge share: a directory that goes away, and raw looks at the process's own
//! memory.
// UNSAFETY: the tests look at memory through raw addresses.

use super::Arena;
use core::sync::atomic::{AtomicU32, Ordering};
use std::path::{Path, PathBuf};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A fresh directory for one test, removed with all it holds when the test ends, however it ends.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, in the system's place for temporary files.
    pub(super) fn new() -> Scratch {
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("memplug-test-{}-{serial}", std::process::id()));
        std::fs::create_dir(&dir).expect("a fresh directory for the test");
        Scratch(dir)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it, with its directories.
    pub(super) fn put(&self, name: &str, text: &str) {
        let file = self.0.join(name);
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).expect("directories of a test file");
        }
        std::fs::write(file, text).expect("a test file");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Best effort: a test must not fail for its litter.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes through the address of an offset that the test has mapped writable.
pub(super) fn write(arena: &Arena, at: u64, bytes: &[u8]) {
    let span = arena.span(at, bytes.len() as u64).expect("a range");
    // SAFETY: the test has mapped the range writable, and only its one thread knows the arena.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), span.cast().as_ptr(), bytes.len()) };
}

/// Reads through the address of an offset that the test has mapped readable.
pub(super) fn read(arena: &Arena, at: u64, len: usize) -> Vec<u8> {
    let span = arena.span(at, len as u64).expect("a range");
    let mut bytes = vec![0; len];
    // SAFETY: the test has mapped the range readable, and only its one thread knows the arena.
    unsafe { core::ptr::copy_nonoverlapping(span.cast().as_ptr(), bytes.as_mut_ptr(), len) };
    bytes
}

/// The permissions at an offset as the kernel shows them, as `rw-s`; `None` if nothing is mapped
/// there at all.
pub(super) fn permissions(arena: &Arena, at: u64) -> Option<String> {
    let address = arena.ptr(at).expect("a byte").addr().get();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("the map of the process");
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let hex = |text| usize::from_str_radix(text, 16).ok();
        (hex(from)? <= address && address < hex(to)?).then(|| rest[..4].to_owned())
    })
}

/// How much of a range of the arena the process holds.
pub(super) fn held(arena: &Arena, at: u64, len: u64) -> u64 {
    let span = arena.span(at, len).expect("a range");
    super::rss::held_bytes(span.addr().get(), span.len()).expect("a count")
}

/// Whether the system gives memory in single pages to mappings without room for a huge one, so that
/// pages can be counted exactly. It does unless told to use sizes in between.
pub(super) fn single_pages_only() -> bool {
    let settings = Path::new("/sys/kernel/mm/transparent_hugepage");
    let set = |file: &Path, words: &[&str]| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        words.iter().any(|word| text.contains(word))
    };
    let sizes = std::fs::read_dir(settings).into_iter().flatten().flatten();
    let between = sizes
        .filter(|size| size.file_name() != "hugepages-2048kB")
        .any(|size| {
            ["enabled", "shmem_enabled"].iter().any(|file| {
                set(
                    &size.path().join(file),
                    &[
                        "[always]",
                        "[madvise]",
                        "[inherit]",
                        "[within_size]",
                        "[advise]",
                    ],
                )
            })
        });
    let single = !between && !set(&settings.join("shmem_enabled"), &["[always]", "[force]"]);
    if !single {
        println!("the system gives memory in larger pieces, so that only lower bounds are checked");
    }
    single
}
