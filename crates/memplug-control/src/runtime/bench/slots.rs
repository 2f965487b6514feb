//! Where DIMMs go: sixteen slots over one range of addresses, as firmware places them.
//!
//! The range begins at 4 GiB, or behind boot memory at a whole GiB. A DIMM goes to the lowest
//! gap that holds it, at a multiple of 2 MiB; it keeps its place also if the machine above
//! refuses its memory. Numbers count attempts, so a name is never used twice.

use crate::workload::WorkloadError;

const SLOTS: usize = 16;
const GIB: u64 = 1 << 30;
const ALIGN: u64 = 2 << 20;

struct Slot {
    number: u32,
    start: u64,
    size: u64,
    device: Option<u32>,
}

pub(super) struct Slots {
    base: u64,
    next: u32,
    /// In order of address.
    taken: Vec<Slot>,
}

/// As the machine monitor words it.
fn error(class: &str, text: &str) -> WorkloadError {
    WorkloadError::Slot(format!(
        "{{\"error\": {{\"class\": \"{class}\", \"desc\": \"{text}\"}}}}"
    ))
}

fn says(text: &str) -> WorkloadError {
    error("GenericError", text)
}

impl Slots {
    pub(super) fn new(boot_end: u64) -> Self {
        let behind = boot_end.checked_next_multiple_of(GIB).unwrap_or(boot_end);
        Self {
            base: behind.max(4 * GIB),
            next: 0,
            taken: Vec::new(),
        }
    }

    /// A device that was there before anyone counted attempts.
    pub(super) fn fill(&mut self, start: u64, size: u64, device: u32) {
        let number = self.next;
        self.next += 1;
        self.insert(Slot {
            number,
            start,
            size,
            device: Some(device),
        });
    }

    fn insert(&mut self, slot: Slot) {
        let at = self.taken.partition_point(|other| other.start < slot.start);
        self.taken.insert(at, slot);
    }

    /// Takes a slot and a place; its number and address. The number is used up also if there is
    /// none, and comes with the error.
    pub(super) fn take(
        &mut self,
        size: u64,
        node: u32,
        nodes: u32,
        at: Option<u64>,
    ) -> Result<(u32, u64), (u32, WorkloadError)> {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let start = self.find_place(number, size, at);
        let start = start.map_err(|error| (number, error))?;
        if node >= nodes {
            let error = says(&format!(
                "'DIMM property node has value {node}' which exceeds the number of numa nodes: {nodes}"
            ));
            return Err((number, error));
        }
        self.insert(Slot {
            number,
            start,
            size,
            device: None,
        });
        Ok((number, start))
    }

    /// A place for a DIMM, checked in the machine's order.
    fn find_place(&self, number: u32, size: u64, at: Option<u64>) -> Result<u64, WorkloadError> {
        if size == 0 {
            // Its memory was refused before; now it cannot be found.
            let text = format!("Device 'ram{number}' not found");
            return Err(error("DeviceNotFound", &text));
        }
        if self.taken.len() >= SLOTS {
            return Err(says("no free slots available"));
        }
        if at.is_some_and(|at| !at.is_multiple_of(ALIGN)) {
            return Err(says(&format!(
                "address must be aligned to {ALIGN:#x} bytes"
            )));
        }
        if !size.is_multiple_of(ALIGN) {
            return Err(says(&format!(
                "backend memory size must be multiple of {ALIGN:#x}"
            )));
        }
        match at {
            Some(at) => self.place_at(at, size),
            None => self.lowest(size),
        }
    }

    fn place_at(&self, at: u64, size: u64) -> Result<u64, WorkloadError> {
        let end = at.checked_add(size);
        let Some(end) = end.filter(|_| at >= self.base) else {
            return Err(says(&format!(
                "can't add memory device [{at:#x}:{size:#x}], usable range begins at {:#x}",
                self.base
            )));
        };
        let clash = self
            .taken
            .iter()
            .find(|slot| slot.start < end && at < slot.start.saturating_add(slot.size));
        match clash {
            None => Ok(at),
            Some(slot) => Err(says(&format!(
                "address range conflicts with memory device id='dimm{}'",
                slot.number
            ))),
        }
    }

    fn lowest(&self, size: u64) -> Result<u64, WorkloadError> {
        let mut start = self.base;
        for slot in &self.taken {
            if start.saturating_add(size) <= slot.start {
                break;
            }
            let end = slot.start.saturating_add(slot.size);
            start = start.max(end.checked_next_multiple_of(ALIGN).unwrap_or(u64::MAX));
        }
        start
            .checked_add(size)
            .map(|_| start)
            .ok_or_else(|| says("not enough space"))
    }

    pub(super) fn set_device(&mut self, number: u32, device: Option<u32>) {
        if let Some(slot) = self.taken.iter_mut().find(|slot| slot.number == number) {
            slot.device = device;
        }
    }

    /// Number and device of a DIMM that is there.
    pub(super) fn find(&self, name: &str) -> Result<(u32, Option<u32>), WorkloadError> {
        let number = name
            .strip_prefix("dimm")
            .and_then(|n| n.parse::<u32>().ok());
        let found = self.taken.iter().find(|slot| Some(slot.number) == number);
        found.map(|slot| (slot.number, slot.device)).ok_or_else(|| {
            let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
            error("DeviceNotFound", &format!("Device '{name}' not found"))
        })
    }

    pub(super) fn empty(&mut self, number: u32) {
        self.taken.retain(|slot| slot.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_lowest_gap_that_holds_it() {
        let mut slots = Slots::new(GIB);
        let mut take = |size| slots.take(size * MIB, 0, 1, None).expect("room").1;
        assert_eq!(
            [take(256), take(128), take(256)],
            [4 * GIB, 4 * GIB + 256 * MIB, 4 * GIB + 384 * MIB]
        );
        slots.empty(1);
        let mut take = |size| slots.take(size * MIB, 0, 1, None).expect("room").1;
        assert_eq!(take(192), 4 * GIB + 640 * MIB, "does not fit in the gap");
        assert_eq!(take(64), 4 * GIB + 256 * MIB);
        assert_eq!(take(64), 4 * GIB + 320 * MIB);
        assert!(slots.find("dimm1").is_err() && slots.find("dimm3").is_ok());
    }

    #[test]
    fn places_that_cannot_be_are_told_and_use_up_a_number() {
        let mut slots = Slots::new(5 * GIB + 1);
        let mut take = |size, node, at| slots.take(size, node, 2, at).map(|taken| taken.1);
        assert_eq!(take(2 * MIB, 1, None), Ok(6 * GIB));
        for (size, node, at) in [
            (0, 0, None),
            (ALIGN, 2, None),
            (MIB, 0, None),
            (ALIGN, 0, Some(4 * GIB)),
            (ALIGN, 0, Some(6 * GIB)),
            (ALIGN, 0, Some(7 * GIB + 1)),
            (u64::MAX - ALIGN + 1, 0, Some(7 * GIB)),
            (u64::MAX - ALIGN + 1, 0, None),
        ] {
            assert!(take(size, node, at).is_err(), "{size} {node} {at:?}");
        }
        assert_eq!(slots.take(ALIGN, 0, 2, None), Ok((9, 6 * GIB + 2 * MIB)));
    }
}
