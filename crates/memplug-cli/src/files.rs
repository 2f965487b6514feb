//! The set of files that is served, and what each page of it must be.
//!
//! Collected in a stable order: PATHs as given, directories by name, depth first. What is named
//! itself must be readable, and may be a symbolic link; inside directories links are not followed,
//! and what cannot be read or is no regular file is left out and counted. Each file is read once,
//! plainly, and the digest of each page kept; a file that changes meanwhile is left out. The set is
//! full at a cap, counted in pages.
//!
//! A page that differs later differs for one of two reasons: the file has changed on disk, as its
//! stamp or another plain read shows, or what was served is wrong.

use crate::digest::Digest;
use crate::interrupt::Interrupt;
use memplug_cache::FileSpec;
use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use walkdir::WalkDir;

/// Bytes in a page of the machine.
pub(crate) const PAGE: u64 = 4096;
/// Bytes read at once; whole pages.
const CHUNK: usize = 1 << 20;

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    #[error("{path}: {source}; name a file or directory that can be read")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{0} is neither a file nor a directory; name one of these")]
    WrongKind(PathBuf),
    #[error("{0} changed while it was read; name a file that rests")]
    Restless(PathBuf),
    #[error("there is no byte to read in {0}; name files that are not empty")]
    Nothing(String),
    #[error("interrupted before anything was begun; run it again")]
    Interrupted,
}

/// What was found, and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) empty: u64,
    pub(crate) unreadable: u64,
    pub(crate) not_regular: u64,
    pub(crate) repeated: u64,
    pub(crate) restless: u64,
    /// Where the set was full: this and all that follows is left out, or the rest of this.
    pub(crate) full_at: Option<PathBuf>,
    /// The first that could not be read, and why.
    pub(crate) first_unreadable: Option<String>,
    pub(crate) took: Duration,
}

/// What shows that a file is the one it was, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

struct Served {
    spec: FileSpec,
    stamp: Stamp,
    first_page: usize,
}

/// Why a page differs from its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The file is not what it was.
    ChangedOnDisk,
    /// The file is, the page was not.
    Wrong,
}

/// The files, and the digest of each of their pages.
pub(crate) struct FileSet {
    files: Vec<Served>,
    digests: Vec<Digest>,
    tally: Tally,
}

impl FileSet {
    /// Collects and reads `paths`, at most `cap` bytes of whole pages.
    pub(crate) fn read(
        paths: &[PathBuf],
        cap: u64,
        interrupt: &Interrupt,
        progress: &dyn Fn(&Tally),
    ) -> Result<Self, SetError> {
        let begun = Instant::now();
        let mut collector = Collector {
            set: Self {
                files: Vec::new(),
                digests: Vec::new(),
                tally: Tally::default(),
            },
            cap: usize::try_from(cap / PAGE).unwrap_or(usize::MAX),
            known: HashSet::new(),
            buffer: vec![0; CHUNK],
            interrupt,
            progress,
        };
        for path in paths {
            collector.path(path)?;
        }
        let mut set = collector.set;
        if set.digests.is_empty() {
            let names: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
            return Err(SetError::Nothing(names.join(", ")));
        }
        set.tally.files = set.files.len() as u64;
        set.tally.took = begun.elapsed();
        Ok(set)
    }

    /// What was found and left out.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Pages of all files.
    pub(crate) fn pages(&self) -> usize {
        self.digests.len()
    }

    /// The files as a cache wants them; their numbers are those of [`FileSet::locate`].
    pub(crate) fn specs(&self) -> Vec<FileSpec> {
        self.files.iter().map(|file| file.spec.clone()).collect()
    }

    /// File and page in it of a page of the set.
    pub(crate) fn locate(&self, page: usize) -> (usize, u64) {
        let file = self.files.partition_point(|file| file.first_page <= page);
        let file = file.saturating_sub(1);
        let first = self.files.get(file).map_or(0, |file| file.first_page);
        (file, page.saturating_sub(first) as u64)
    }

    /// Where a page of the set lies, for messages.
    pub(crate) fn place(&self, page: usize) -> String {
        let (file, at) = self.locate(page);
        let path = self.files.get(file).map(|file| file.spec.path.display());
        path.map_or_else(String::new, |path| format!("{path}, page {at}"))
    }

    /// Whether these bytes are what the page was at the first read.
    pub(crate) fn is_page(&self, page: usize, bytes: &[u8]) -> bool {
        self.digests.get(page) == Some(&Digest::of(bytes))
    }

    /// Why a page that was served differs, or could not be read: looks at the disk.
    pub(crate) fn verdict(&self, page: usize) -> Verdict {
        let (file, at) = self.locate(page);
        let same = self.files.get(file).is_some_and(|file| {
            self.rereads(file, page, at)
                .is_ok_and(|rereads_the_same| rereads_the_same)
        });
        if same {
            Verdict::Wrong
        } else {
            Verdict::ChangedOnDisk
        }
    }

    fn rereads(&self, served: &Served, page: usize, at: u64) -> io::Result<bool> {
        let file = File::open(&served.spec.path)?;
        if Stamp::of(&file.metadata()?) != served.stamp {
            return Ok(false);
        }
        let start = at * PAGE;
        let len = served.spec.len.saturating_sub(start).min(PAGE);
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, start)?;
        Ok(self.is_page(page, &bytes))
    }
}

struct Collector<'a> {
    set: FileSet,
    cap: usize,
    known: HashSet<(u64, u64)>,
    buffer: Vec<u8>,
    interrupt: &'a Interrupt,
    progress: &'a dyn Fn(&Tally),
}

/// Why a file is not in the set.
enum Skipped {
    Unreadable(io::Error),
    Restless,
    Interrupted,
}

impl From<io::Error> for Skipped {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl Collector<'_> {
    fn is_full(&self) -> bool {
        self.set.tally.full_at.is_some()
    }

    /// A PATH as named: must be readable.
    fn path(&mut self, path: &Path) -> Result<(), SetError> {
        let unreadable = |source| SetError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let metadata = path.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return self.directory(path);
        }
        if !metadata.is_file() {
            return Err(SetError::WrongKind(path.to_owned()));
        }
        self.file(path).map_err(|skipped| match skipped {
            Skipped::Unreadable(source) => unreadable(source),
            Skipped::Restless => SetError::Restless(path.to_owned()),
            Skipped::Interrupted => SetError::Interrupted,
        })
    }

    fn directory(&mut self, root: &Path) -> Result<(), SetError> {
        for entry in WalkDir::new(root).sort_by_file_name() {
            if self.is_full() {
                return Ok(());
            }
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.depth() == 0 => {
                    return Err(SetError::Unreadable {
                        path: root.to_owned(),
                        source: error.into(),
                    });
                }
                Err(error) => {
                    self.unreadable(&error.to_string());
                    continue;
                }
            };
            if entry.file_type().is_dir() {
                continue;
            }
            if !entry.file_type().is_file() {
                self.set.tally.not_regular += 1;
                continue;
            }
            match self.file(entry.path()) {
                Ok(()) => {}
                Err(Skipped::Unreadable(error)) => {
                    self.unreadable(&format!("{}: {error}", entry.path().display()));
                }
                Err(Skipped::Restless) => self.set.tally.restless += 1,
                Err(Skipped::Interrupted) => return Err(SetError::Interrupted),
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, why: &str) {
        self.set.tally.unreadable += 1;
        let first = &mut self.set.tally.first_unreadable;
        first.get_or_insert_with(|| why.to_owned());
    }

    /// Reads a regular file into the set.
    fn file(&mut self, path: &Path) -> Result<(), Skipped> {
        if self.interrupt.came() {
            return Err(Skipped::Interrupted);
        }
        let file = File::open(path)?;
        let stamp = Stamp::of(&file.metadata()?);
        if stamp.len == 0 {
            self.set.tally.empty += 1;
            return Ok(());
        }
        if self.known.contains(&(stamp.device, stamp.inode)) {
            self.set.tally.repeated += 1;
            return Ok(());
        }
        let first_page = self.set.digests.len();
        let room = (self.cap - first_page.min(self.cap)) as u64;
        let fits = stamp.len.div_ceil(PAGE) <= room;
        let len = if fits { stamp.len } else { room * PAGE };
        if !fits {
            self.set.tally.full_at = Some(path.to_owned());
        }
        if len == 0 {
            return Ok(());
        }
        let read = self.pages(&file, len).and_then(|()| {
            let same = Stamp::of(&file.metadata()?) == stamp;
            same.then_some(()).ok_or(Skipped::Restless)
        });
        if let Err(skipped) = read {
            self.set.digests.truncate(first_page);
            return Err(skipped);
        }
        self.known.insert((stamp.device, stamp.inode));
        self.set.tally.bytes += len;
        let path = path.to_owned();
        self.set.files.push(Served {
            spec: FileSpec { path, len },
            stamp,
            first_page,
        });
        (self.progress)(&self.set.tally);
        Ok(())
    }

    /// The digests of the pages of the first `len` bytes.
    fn pages(&mut self, file: &File, len: u64) -> Result<(), Skipped> {
        let mut at = 0;
        while at < len {
            if self.interrupt.came() {
                return Err(Skipped::Interrupted);
            }
            let chunk = (len - at).min(CHUNK as u64);
            let bytes = &mut self.buffer[..chunk as usize];
            file.read_exact_at(bytes, at)?;
            let pages = bytes.chunks(PAGE as usize);
            self.set.digests.extend(pages.map(Digest::of));
            at += chunk;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(paths: &[PathBuf], cap: u64) -> Result<FileSet, SetError> {
        FileSet::read(paths, cap, &Interrupt::default(), &|_| {})
    }

    fn directory(files: &[(&str, usize)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, len) in files {
            let bytes: Vec<u8> = (0..*len)
                .map(|at| (at % 251) as u8 ^ name.as_bytes()[0])
                .collect();
            fs::write(dir.path().join(name), bytes).expect("a file");
        }
        dir
    }

    #[test]
    fn pages_are_found_where_they_are() {
        let dir = directory(&[("b", 4097), ("a", 1), ("c", 8192), ("d", 0)]);
        let set = read(&[dir.path().to_owned()], u64::MAX).expect("a set");
        assert_eq!(set.pages(), 1 + 2 + 2);
        let places: Vec<_> = (0..5).map(|page| set.locate(page)).collect();
        assert_eq!(places, [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]);
        let tally = set.tally();
        assert_eq!(
            (tally.files, tally.bytes, tally.empty),
            (3, 1 + 4097 + 8192, 1)
        );
        assert!(set.place(2).ends_with("b, page 1"));
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_named() {
        let dir = directory(&[("a", 8192), ("b", 12288), ("c", 1)]);
        let set = read(&[dir.path().to_owned()], 4 * PAGE + 100).expect("a set");
        assert_eq!(set.pages(), 4);
        assert_eq!(set.tally().bytes, 4 * PAGE);
        assert_eq!(set.tally().full_at, Some(dir.path().join("b")));
        let exact = read(&[dir.path().join("a")], 2 * PAGE).expect("a set");
        assert_eq!(exact.tally().full_at, None);
    }

    #[test]
    fn the_same_file_is_served_once_and_links_in_directories_not_at_all() {
        let dir = directory(&[("a", 10)]);
        std::os::unix::fs::symlink("a", dir.path().join("l")).expect("a link");
        let paths = [dir.path().to_owned(), dir.path().join("l")];
        let set = read(&paths, u64::MAX).expect("a set");
        assert_eq!((set.tally().files, set.tally().repeated), (1, 1));
        assert_eq!(set.tally().not_regular, 1);
    }

    #[test]
    fn what_is_named_must_be_there_and_hold_something() {
        let dir = directory(&[("empty", 0)]);
        let error = |path: PathBuf| read(&[path], u64::MAX).err().expect("an error");
        assert!(matches!(
            error(dir.path().join("no")),
            SetError::Unreadable { .. }
        ));
        assert!(matches!(error("/dev/null".into()), SetError::WrongKind(_)));
        assert!(matches!(error(dir.path().to_owned()), SetError::Nothing(_)));
        std::os::unix::fs::symlink("nowhere", dir.path().join("l")).expect("a link");
        assert!(matches!(
            error(dir.path().join("l")),
            SetError::Unreadable { .. }
        ));
    }

    #[test]
    fn files_that_cannot_be_read_to_their_end_are_left_out() {
        // The kernel gives such files a length that reading does not reach.
        let path = Path::new("/sys/kernel/uevent_seqnum");
        let (Ok(metadata), Ok(bytes)) = (fs::metadata(path), fs::read(path)) else {
            return;
        };
        if metadata.len() == bytes.len() as u64 {
            return;
        }
        let error = read(&["/sys/kernel/uevent_seqnum".into()], u64::MAX).err();
        assert!(matches!(error, Some(SetError::Unreadable { .. })));
    }

    #[test]
    fn an_interrupt_ends_it() {
        let dir = directory(&[("a", 1)]);
        let interrupt = Interrupt::default();
        interrupt.raise();
        let set = FileSet::read(&[dir.path().to_owned()], PAGE, &interrupt, &|_| {});
        assert!(matches!(set.err(), Some(SetError::Interrupted)));
    }

    #[test]
    fn a_wrong_page_is_told_from_a_changed_file() {
        let dir = directory(&[("a", 5000)]);
        let path = dir.path().join("a");
        let set = read(std::slice::from_ref(&path), u64::MAX).expect("a set");
        let bytes = fs::read(&path).expect("the file");
        assert!(set.is_page(1, &bytes[4096..]));
        assert!(!set.is_page(1, &bytes[..4096]));
        assert_eq!(set.verdict(1), Verdict::Wrong, "the file is as it was");
        fs::write(&path, b"other").expect("the file");
        assert_eq!(set.verdict(1), Verdict::ChangedOnDisk);
        fs::remove_file(&path).expect("the file");
        assert_eq!(set.verdict(1), Verdict::ChangedOnDisk);
    }

    #[test]
    fn a_change_that_the_stamp_does_not_show_is_one_all_the_same() {
        let dir = directory(&[("a", 5000)]);
        let path = dir.path().join("a");
        let set = read(std::slice::from_ref(&path), u64::MAX).expect("a set");
        let file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .expect("the file");
        let times = file
            .metadata()
            .expect("its times")
            .modified()
            .expect("a time");
        file.write_all_at(b"x", 0).expect("a byte");
        file.set_modified(times).expect("the old time");
        assert_eq!(set.verdict(0), Verdict::ChangedOnDisk);
        assert_eq!(set.verdict(1), Verdict::Wrong, "that page is as it was");
    }
}
