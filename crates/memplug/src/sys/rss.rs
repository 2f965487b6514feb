//! How much memory the process holds, and how much it could still get: numbers the kernel shows in
//! `/proc`.
//!
//! The numbers of the whole process come from counters that the kernel keeps per processor and may
//! show with a few hundred KiB of delay. The count of a range looks at each page and is exact at
//! its moment, but takes time in proportion to the range. Nothing here is a promise: other
//! processes take memory while it is being read.
//!
//! Left out: memory of the kernel itself for the process (page tables), and parts of pages shared
//! with others.

use super::cgroup;
use rustix::param::page_size;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Resident memory of the process in bytes, by what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Anonymous memory.
    pub anon: u64,
    /// Pages of files.
    pub file: u64,
    /// Shared memory: memory files and tmpfs.
    pub shmem: u64,
}

impl Resident {
    /// All three.
    pub fn total(&self) -> u64 {
        self.anon
            .saturating_add(self.file)
            .saturating_add(self.shmem)
    }
}

/// Resident memory of the process in bytes. Pages of a huge page pool are not in it.
pub fn resident_bytes() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: Option<u64> = text
        .split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok());
    pages
        .and_then(|pages| pages.checked_mul(page_size() as u64))
        .ok_or_else(|| malformed("statm"))
}

/// The same, by what it is made of.
pub fn resident() -> io::Result<Resident> {
    parse_status(&std::fs::read_to_string("/proc/self/status")?)
}

fn parse_status(text: &str) -> io::Result<Resident> {
    let field = |name: &str| kilobytes(text, name).ok_or_else(|| malformed(name));
    Ok(Resident {
        anon: field("RssAnon")?,
        file: field("RssFile")?,
        shmem: field("RssShmem")?,
    })
}

/// How many bytes of an address range have a page in memory or in swap, for the process itself.
/// Memory that others hold of the same file is not counted, unless the process has touched it too.
pub fn held_bytes(start: usize, len: usize) -> io::Result<u64> {
    const ENTRY: usize = size_of::<u64>();
    const BATCH: usize = 4096;
    // The two highest bits of an entry: present, and swapped out.
    const HELD: u64 = 0b11 << 62;
    let pagemap = File::open("/proc/self/pagemap")?;
    let page = page_size();
    let (first, end) = (start / page, start.saturating_add(len).div_ceil(page));
    let mut entries = vec![0_u8; BATCH * ENTRY];
    let mut held = 0_u64;
    let mut at = first;
    while at < end {
        let batch = &mut entries[..BATCH.min(end - at) * ENTRY];
        pagemap.read_exact_at(batch, at as u64 * ENTRY as u64)?;
        let (words, _) = batch.as_chunks::<ENTRY>();
        held += words
            .iter()
            .filter(|word| u64::from_ne_bytes(**word) & HELD != 0)
            .count() as u64;
        at += BATCH;
    }
    Ok(held.saturating_mul(page as u64))
}

/// How many bytes the process could still get without swapping: what the system has available, or
/// what the tightest of its control groups leaves, whichever is less.
pub fn available_bytes() -> io::Result<u64> {
    available_under(Path::new("/"))
}

fn available_under(root: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo"))?;
    let system = kilobytes(&text, "MemAvailable").ok_or_else(|| malformed("MemAvailable"))?;
    Ok(cgroup::headroom(root).map_or(system, |group| group.min(system)))
}

/// The value of a line `name:   123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| *key == name)?;
    value
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("{what} is not as the kernel writes it; see that /proc is mounted"),
    )
}

#[cfg(test)]
mod tests {
    use super::{
        Resident, available_bytes, available_under, held_bytes, parse_status, resident,
        resident_bytes,
    };
    use crate::sys::scratch::{Scratch, single_pages_only};
    use crate::sys::{Access, Arena, Backing, BackingKind, Place};
    use std::io::ErrorKind;

    const LEN: u64 = 32 << 20;
    /// What the kernel's counters may lag behind, generously.
    const LAG: u64 = 4 << 20;

    #[test]
    fn fields_are_taken_by_name() {
        let text = "VmRSS:\t  99 kB\nRssAnon:\t   1 kB\nRssFile:\t   2 kB\nRssShmem:\t   4 kB\n";
        let resident = parse_status(text).expect("a status");
        assert_eq!(
            resident,
            Resident {
                anon: 1024,
                file: 2048,
                shmem: 4096
            }
        );
        assert_eq!(resident.total(), 7 * 1024);
        for broken in [
            "",
            "RssAnon: 1 kB\nRssFile: 2 kB\n",
            "RssAnon: x kB\nRssFile: 2 kB\nRssShmem: 4 kB\n",
        ] {
            assert_eq!(
                parse_status(broken).map_err(|error| error.kind()),
                Err(ErrorKind::InvalidData)
            );
        }
        let huge = format!("RssAnon: {} kB\nRssFile: 2 kB\nRssShmem: 4 kB\n", u64::MAX);
        assert!(parse_status(&huge).is_err(), "a number that overflows");
    }

    /// Other tests run beside, so that only lower bounds can be known.
    #[test]
    fn what_is_held_shows() {
        let arena = Arena::reserve(2 * LEN).expect("an arena");
        for (at, kind) in [(0, BackingKind::Memfd), (LEN, BackingKind::Anonymous)] {
            let backing = Backing::create(kind, LEN).expect("a backing");
            arena
                .map(at, &backing, Access::ReadWrite)
                .expect("a mapping");
            arena.populate(at, LEN).expect("memory");
        }
        let now = resident().expect("a status");
        assert!(now.shmem + LAG >= LEN, "{now:?}");
        assert!(now.anon + LAG >= LEN, "{now:?}");
        assert!(resident_bytes().expect("a number") + LAG >= 2 * LEN);
    }

    #[test]
    fn ranges_are_counted_by_page() {
        let page = rustix::param::page_size() as u64;
        let arena = Arena::reserve(LEN).expect("an arena");
        let backing = Backing::create(BackingKind::Memfd, LEN).expect("a backing");
        arena
            .map(0, &backing, Access::ReadWrite)
            .expect("a mapping");
        let count = |from: u64, len: u64| {
            let span = arena.span(from, len).expect("a range");
            held_bytes(span.addr().get(), span.len()).expect("a count")
        };
        assert_eq!(count(0, LEN), 0);
        arena.populate(5 * page, 3 * page).expect("memory");
        // The last page is beyond the first batch of entries.
        arena.populate(LEN - page, page).expect("memory");
        assert!(count(0, LEN) >= 4 * page);
        assert_eq!(count(6 * page, page), page);
        if single_pages_only() {
            assert_eq!((count(0, LEN), count(0, 5 * page)), (4 * page, 0));
        }
        let place = Place {
            arena: &arena,
            base: 0,
        };
        backing.discard(place, 0..LEN).expect("given back");
        assert_eq!(count(0, LEN), 0);
    }

    #[test]
    fn the_tighter_limit_counts() {
        let root = Scratch::new();
        let missing = available_under(root.path()).expect_err("no meminfo");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        root.put(
            "proc/meminfo",
            "MemTotal: 4000 kB\nMemFree: 1 kB\nMemAvailable:    3000 kB\n",
        );
        assert_eq!(available_under(root.path()).expect("a number"), 3000 * 1024);
        root.put("proc/self/cgroup", "0::/app\n");
        root.put(
            "proc/self/mountinfo",
            "30 20 0:26 / /groups rw - cgroup2 cgroup2 rw\n",
        );
        root.put("groups/app/memory.max", "1048576\n");
        root.put("groups/app/memory.current", "1048000\n");
        assert_eq!(available_under(root.path()).expect("a number"), 576);
        root.put("groups/app/memory.max", "max\n");
        assert_eq!(available_under(root.path()).expect("a number"), 3000 * 1024);
    }

    #[test]
    fn this_system_has_some() {
        assert!(available_bytes().expect("a number") > 0);
    }
}
