//! The undo log of a transaction: steps, the last one first.
//!
//! Most transactions have a handful. Those lie in the log itself, so that a transaction allocates
//! nothing for it; a log that gets longer goes on in memory of its own.

use super::undo::Undo;
use alloc::vec::Vec;

/// Steps that need no memory of their own: those of an online or an offline.
const HERE: usize = 4;

#[derive(Default)]
pub(super) struct Log {
    here: [Option<Undo>; HERE],
    /// Steps in `here`: all of its places are taken if there are `more`.
    taken: usize,
    more: Vec<Undo>,
}

impl Log {
    #[inline]
    pub(super) fn push(&mut self, step: Undo) {
        if let Some(place) = self.here.get_mut(self.taken) {
            *place = Some(step);
            self.taken += 1;
        } else {
            self.more.push(step);
        }
    }

    /// Takes the last step out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Undo> {
        if !self.more.is_empty() {
            return self.more.pop();
        }
        self.taken = self.taken.checked_sub(1)?;
        self.here.get(self.taken).copied().flatten()
    }

    /// Forgets all steps.
    pub(super) fn clear(&mut self) {
        self.taken = 0;
        self.more.clear();
    }

    /// The event is about to be sent: from now on its cancellation is owed.
    pub(super) fn arm_cancel(&mut self) {
        for step in self.here.iter_mut().flatten().chain(&mut self.more) {
            if let Undo::Cancel { announced, .. } = step {
                *announced = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug_units::GroupId;

    fn number(step: Undo) -> u32 {
        match step {
            Undo::DropGroup { group } => group.get(),
            _ => u32::MAX,
        }
    }

    #[test]
    fn steps_come_back_last_first_however_many() {
        for steps in 0..12 {
            let mut log = Log::default();
            for step in 0..steps {
                let group = GroupId::new(step);
                log.push(Undo::DropGroup { group });
            }
            let back: Vec<u32> = core::iter::from_fn(|| log.pop()).map(number).collect();
            assert_eq!(back, (0..steps).rev().collect::<Vec<_>>());
            log.push(Undo::DropGroup {
                group: GroupId::new(7),
            });
            assert_eq!(log.pop().map(number), Some(7), "it can be used again");
            for step in 0..steps {
                let group = GroupId::new(step);
                log.push(Undo::DropGroup { group });
            }
            log.clear();
            assert!(log.pop().is_none());
        }
    }
}
