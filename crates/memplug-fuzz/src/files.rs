//! Everything that can be done with the files of the view, in any order: opening, reading and
//! writing at any offset, truncating, modes, and the DIMM going and coming meanwhile.

use crate::kernel::{Kernel, errno, number, request};
use crate::machine::{plugged, seen};
use crate::words::{offset, written};
use arbitrary::{Result, Unstructured};
use memplug_control::{AddSpec, Attempt, Control, RemoveHow, Runtime};
use memplug_sysfs::{Place, Sort, Tree};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// So many steps at most.
const STEPS: usize = 48;

struct Opened {
    handle: u64,
    place: Place,
    path: String,
}

struct Files {
    runtime: Arc<Runtime>,
    tree: Arc<Tree>,
    kernel: Kernel,
    /// Every file there was at first; those of the DIMM may be gone.
    kinds: &'static [Kind],
    open: Vec<Opened>,
}

/// Files of one name, wherever they are.
#[derive(Default)]
struct Kind {
    writable: bool,
    files: Vec<(String, Place)>,
}

/// Every machine has the same.
static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();

/// Every file there is, by name, those that can be written first.
fn kinds(tree: &Tree) -> Vec<Kind> {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let place = tree.find(&directory).expect("listed");
        for entry in tree.list(place).expect("a directory") {
            let path = format!("{directory}/{}", entry.name);
            match entry.sort {
                Sort::Directory => directories.push(path),
                Sort::File => {
                    let of = tree.attributes(entry.place).expect("listed");
                    let kind = kinds.entry(entry.name).or_default();
                    kind.writable |= of.mode & 0o222 != 0;
                    kind.files.push((path, entry.place));
                }
                Sort::Link => {}
            }
        }
    }
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| !kind.writable);
    kinds
}

/// A file: of each name as often as of any other, of those that can be written more often.
fn file(u: &mut Unstructured<'_>, kinds: &'static [Kind]) -> Result<&'static (String, Place)> {
    let writable = kinds.partition_point(|kind| kind.writable);
    let kinds = match u.ratio(3, 4)? {
        true => &kinds[..writable],
        false => kinds,
    };
    let kind = u.choose(kinds)?;
    u.choose(&kind.files)
}

impl Files {
    fn new() -> Self {
        let (runtime, tree) = plugged();
        let kinds = KINDS.get_or_init(|| kinds(&tree));
        Self {
            kernel: Kernel::new(tree.clone()),
            runtime,
            tree,
            kinds,
            open: Vec::new(),
        }
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=11)? {
            0..=2 => self.open(u),
            3 | 4 => self.read(u),
            5..=8 => self.write(u),
            9 => self.set(u),
            10 => self.close(u),
            _ => self.device(u),
        }
    }

    fn open(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (path, place) = file(u, self.kinds)?.clone();
        let flags = u.int_in_range(0..=3)?;
        let there = self.tree.attributes(place).is_ok();
        let reply = self.kernel.open(place.number(), flags);
        match errno(&reply) {
            0 => self.open.push(Opened {
                handle: number(&reply),
                place,
                path,
            }),
            2 => assert!(!there, "{path}"),
            13 => assert!(there, "{path}"),
            22 => assert_eq!(flags, 3, "{path}"),
            other => panic!("{path}: opened with {flags}: errno {other}"),
        }
        Ok(())
    }

    fn read(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let of = u.choose(&self.open)?;
        let (at, size) = (offset(u)?, u.int_in_range(0..=5000)?);
        let before = seen(&*self.runtime, true);
        let reply = self.kernel.read(of.handle, at, size);
        assert!(matches!(errno(&reply), 0 | 5 | 9 | 19), "{}", of.path);
        if errno(&reply) == 0 {
            let text = self.tree.read(of.place).expect("it was read just now");
            let data = &reply[16..];
            assert!(data.len() <= size as usize, "{}", of.path);
            if at == 0 {
                assert!(text.starts_with(data), "{}", of.path);
                assert_eq!(data.len(), text.len().min(size as usize), "{}", of.path);
            }
        }
        assert_eq!(seen(&*self.runtime, true), before, "{}", of.path);
        Ok(())
    }

    fn write(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let of = u.choose(&self.open)?;
        let (bytes, at) = (written(u)?, offset(u)?);
        // A word sticks, also one that is refused.
        let sticky = !of.path.ends_with("/state");
        let state = || (seen(&*self.runtime, sticky), self.tree.read(of.place));
        let before = state();
        let reply = self.kernel.write(of.handle, at, &bytes);
        if errno(&reply) == 0 {
            assert_eq!(number(&reply) & 0xffff_ffff, bytes.len().min(4096) as u64);
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(state(), before, "{} {shown:?} was refused", of.path);
        Ok(())
    }

    /// A size, a mode, an owner, times: whatever the bits say.
    fn set(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (path, place) = file(u, self.kinds)?;
        let before = seen(&*self.runtime, true);
        let mut body = u32::from(u.arbitrary::<u16>()?).to_ne_bytes().to_vec();
        body.resize(88, 0);
        u.fill_buffer(&mut body[16..])?;
        let reply = self.kernel.send(&request(4, place.number(), &body));
        assert!(matches!(errno(&reply), 0 | 2), "{path}");
        assert_eq!(seen(&*self.runtime, true), before, "{path}");
        Ok(())
    }

    fn close(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let at = u.choose_index(self.open.len())?;
        let of = self.open.swap_remove(at);
        assert_eq!(errno(&self.kernel.release(of.handle)), 0, "{}", of.path);
        assert_eq!(errno(&self.kernel.read(of.handle, 0, 9)), 9, "{}", of.path);
        Ok(())
    }

    /// The DIMM goes, or comes.
    fn device(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (attempt, offline_first) = (Attempt::default(), u.arbitrary()?);
        let Some(device) = self.runtime.devices().expect("devices").pop() else {
            let dimm = AddSpec::dimm(1, 256 << 20);
            self.runtime.add(&dimm, &attempt).expect("there is room");
            return Ok(());
        };
        let how = match offline_first {
            true => RemoveHow::OfflineFirst,
            false => RemoveHow::OnlyIfOffline,
        };
        // It may be refused: blocks are online, or error injection says so.
        let _ = self.runtime.remove(device.id, how, &attempt);
        Ok(())
    }
}

/// Opens, reads, writes and so on, as the bytes say.
///
/// # Panics
/// If anything is not as it must be.
pub fn files(bytes: &[u8]) {
    let mut files = Files::new();
    let mut u = Unstructured::new(bytes);
    for _ in 0..STEPS {
        if u.is_empty() || files.step(&mut u).is_err() {
            break;
        }
    }
    let audit = files.runtime.machine().hotplug().audit();
    assert!(audit.is_empty(), "{audit:?}");
}
