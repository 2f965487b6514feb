//! Unnamed memory files: a descriptor with memory behind it and no name anywhere, of ordinary or
//! huge pages.
//!
//! The size is sealed, and so is the set of seals: no process that is handed the descriptor can shrink
//! the file under the mapping (which would turn accesses into SIGBUS) or make it read-only.
//! Punching holes, which is how memory is given back, stays possible. The file is marked as never
//! executable where the kernel knows that mark.

use super::hugepages::HugePage;
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;

/// Makes a file of `len` bytes that holds no memory yet.
pub(super) fn create(len: u64, page: Option<HugePage>) -> Result<OwnedFd, Errno> {
    let fd = open(MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | page_flags(page))?;
    ftruncate(&fd, len)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(fd)
}

fn page_flags(page: Option<HugePage>) -> MemfdFlags {
    match page {
        None => MemfdFlags::empty(),
        Some(HugePage::Size2M) => MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB,
        Some(HugePage::Size1G) => MemfdFlags::HUGETLB | MemfdFlags::HUGE_1GB,
    }
}

/// Systems may demand the never-executable mark (6.3 and later), and older ones refuse to know it.
fn open(flags: MemfdFlags) -> Result<OwnedFd, Errno> {
    match memfd_create(c"memplug", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(c"memplug", flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::create;
    use rustix::fs::{fstat, ftruncate};
    use rustix::io::Errno;

    #[test]
    fn size_is_fixed() {
        let fd = create(1 << 20, None).expect("a memory file");
        assert_eq!(ftruncate(&fd, 4096), Err(Errno::PERM), "shrinking");
        assert_eq!(ftruncate(&fd, 2 << 20), Err(Errno::PERM), "growing");
        assert_eq!(fstat(&fd).map(|stat| stat.st_size), Ok(1 << 20));
        assert_eq!(
            fstat(&fd).map(|stat| stat.st_blocks),
            Ok(0),
            "no memory before it is asked for"
        );
    }
}
