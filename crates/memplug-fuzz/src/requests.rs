//! FUSE requests of any operation, on inodes and handles that there are and others, well-formed
//! and not: each is answered or nothing is owed.

use crate::kernel::{Kernel, errno, number, request};
use crate::machine::{plugged, seen};
use crate::words::{offset, written};
use arbitrary::{Result, Unstructured};

/// So many requests at most.
const STEPS: usize = 48;

/// Operations that are never answered: forget, interrupt, destroy, forget many.
const SILENT: [u32; 4] = [2, 36, 38, 42];
const LOOKUP: u32 = 1;
const OPEN: [u32; 2] = [14, 27];
const WRITE: u32 = 16;

const NAMES: [&str; 17] = [
    "memory",
    "node",
    "memory32",
    "memory33",
    "memory0",
    "node1",
    "node0",
    "cpu1",
    "state",
    "online",
    "valid_zones",
    "power",
    "control",
    "uevent",
    "..",
    "hugepages",
    "no such name",
];

/// What was learned so far.
struct Learned {
    inodes: Vec<u64>,
    handles: Vec<u64>,
}

impl Learned {
    fn node(&self, u: &mut Unstructured<'_>) -> Result<u64> {
        Ok(match u.int_in_range(0..=5)? {
            0 => u.arbitrary()?,
            1 => u64::from(u.arbitrary::<u8>()?),
            _ => *u.choose(&self.inodes)?,
        })
    }

    fn handle(&self, u: &mut Unstructured<'_>) -> Result<u64> {
        match u.int_in_range(0..=5)? {
            0 => u.arbitrary(),
            _ if self.handles.is_empty() => Ok(1),
            _ => Ok(*u.choose(&self.handles)?),
        }
    }

    fn body(&self, opcode: u32, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        if u.ratio(1, 5)? {
            let len = u.int_in_range(0..=120)?;
            return Ok(u.bytes(usize::min(len, u.len()))?.to_vec());
        }
        Ok(match opcode {
            LOOKUP => format!("{}\0", u.choose(&NAMES)?).into_bytes(),
            14 => u32::from(u.arbitrary::<u8>()?).to_ne_bytes().repeat(2),
            15 | 16 | 28 => {
                let data = if opcode == WRITE {
                    written(u)?
                } else {
                    Vec::new()
                };
                let size = match (opcode, u.ratio(1, 9)?) {
                    (WRITE, false) => u32::try_from(data.len()).unwrap_or(u32::MAX),
                    (_, true) => u.arbitrary()?,
                    _ => u.int_in_range(0..=5000)?,
                };
                let mut body = self.handle(u)?.to_ne_bytes().to_vec();
                body.extend_from_slice(&offset(u)?.to_ne_bytes());
                body.extend_from_slice(&size.to_ne_bytes());
                body.extend_from_slice(&[0; 20]);
                body.extend_from_slice(&data);
                body
            }
            18 | 29 => {
                let mut body = self.handle(u)?.to_ne_bytes().to_vec();
                body.extend_from_slice(&[0; 16]);
                body
            }
            _ => {
                let mut body = vec![0; 88];
                let len = usize::min(body.len(), u.len());
                u.fill_buffer(&mut body[..len])?;
                body
            }
        })
    }

    fn learn(&mut self, opcode: u32, reply: &[u8]) {
        if reply.len() < 24 || errno(reply) != 0 {
            return;
        }
        match opcode {
            LOOKUP => self.inodes.push(number(reply)),
            _ if OPEN.contains(&opcode) => self.handles.push(number(reply)),
            _ => {}
        }
    }
}

fn opcode(u: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match u.int_in_range(0..=7)? {
        0 => u.int_in_range(0..=60)?,
        1 | 2 => LOOKUP,
        3 => *u.choose(&[14, 14, 27, 3, 4, 5, 26])?,
        4 | 5 => WRITE,
        6 => *u.choose(&[15, 28])?,
        _ => *u.choose(&[18, 29, 36, 17, 34])?,
    })
}

/// Sends requests as the bytes say.
///
/// # Panics
/// If anything is not as it must be.
pub fn requests(bytes: &[u8]) {
    let (runtime, tree) = plugged();
    let kernel = Kernel::new(tree);
    // The bytes as they are, first.
    kernel.send(bytes);
    let mut learned = Learned {
        inodes: vec![1, kernel.find(&["memory", "memory32"])],
        handles: Vec::new(),
    };
    learned
        .inodes
        .push(kernel.find(&["memory", "memory32", "state"]));
    let mut u = Unstructured::new(bytes);
    let mut one = |u: &mut Unstructured<'_>| -> Result<()> {
        let (opcode, node) = (opcode(u)?, learned.node(u)?);
        let body = learned.body(opcode, u)?;
        let before = seen(&*runtime, false);
        let reply = kernel.send(&request(opcode, node, &body));
        assert_eq!(reply.is_empty(), SILENT.contains(&opcode), "{opcode}");
        if opcode != WRITE || errno(&reply) != 0 {
            assert_eq!(seen(&*runtime, false), before, "operation {opcode}");
        }
        learned.learn(opcode, &reply);
        Ok(())
    };
    for _ in 0..STEPS {
        if u.is_empty() || one(&mut u).is_err() {
            break;
        }
    }
    let audit = runtime.machine().hotplug().audit();
    assert!(audit.is_empty(), "{audit:?}");
}
