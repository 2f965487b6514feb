//! How many huge pages the system could hand out: the pools under `/sys/kernel/mm/hugepages`.
//!
//! Only read, never set: the pools belong to the administrator. A number read here can be outdated
//! at once, so it is good for a clear refusal ahead and for naming the shortage, not as a promise;
//! the promise is the commit itself.
//!
//! Left out: pools of single nodes, and limits of the hugetlb control group.

use core::fmt;
use std::path::Path;

/// The size of one page of the huge page pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HugePage {
    /// 2 MiB.
    Size2M,
    /// 1 GiB.
    Size1G,
}

impl HugePage {
    /// Its size in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            HugePage::Size2M => 2 << 20,
            HugePage::Size1G => 1 << 30,
        }
    }

    /// Pages of this size that could be had now: those free and not promised to others, and what
    /// the kernel may still add by itself. `None` if the kernel has no pool of this size, or does
    /// not show it. `root` stands for `/`.
    pub(super) fn available(self, root: &Path) -> Option<u64> {
        let pool = root.join(format!(
            "sys/kernel/mm/hugepages/hugepages-{}kB",
            self.bytes() / 1024
        ));
        let read = |name: &str| -> Option<u64> {
            std::fs::read_to_string(pool.join(name))
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let unpromised = read("free_hugepages")?.saturating_sub(read("resv_hugepages")?);
        let growth = read("nr_overcommit_hugepages")?.saturating_sub(read("surplus_hugepages")?);
        Some(unpromised.saturating_add(growth))
    }
}

impl fmt::Display for HugePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HugePage::Size2M => "2 MiB",
            HugePage::Size1G => "1 GiB",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::HugePage;
    use crate::sys::scratch::Scratch;

    fn pool(root: &Scratch, page: &str, numbers: [&str; 4]) {
        let names = [
            "free_hugepages",
            "resv_hugepages",
            "nr_overcommit_hugepages",
            "surplus_hugepages",
        ];
        for (name, number) in names.iter().zip(numbers) {
            root.put(
                &format!("sys/kernel/mm/hugepages/hugepages-{page}/{name}"),
                number,
            );
        }
    }

    #[test]
    fn counts_what_can_be_had() {
        let root = Scratch::new();
        pool(&root, "2048kB", ["10\n", "3\n", "5\n", "1\n"]);
        assert_eq!(HugePage::Size2M.available(root.path()), Some(7 + 4));
        pool(&root, "1048576kB", ["1\n", "3\n", "0\n", "2\n"]);
        assert_eq!(
            HugePage::Size1G.available(root.path()),
            Some(0),
            "a lowered pool must not wrap around"
        );
    }

    #[test]
    fn no_pool_is_not_zero_pages() {
        let root = Scratch::new();
        assert_eq!(HugePage::Size2M.available(root.path()), None);
        pool(&root, "2048kB", ["ten", "0", "0", "0"]);
        assert_eq!(
            HugePage::Size2M.available(root.path()),
            None,
            "garbage is not a number"
        );
    }
}
