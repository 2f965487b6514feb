//! The list of a chain: sorted, and never changed.
//!
//! Most stand in one row. A new one stands apart at first: the list with it shares the row with
//! the list before. So a round that walks a new list finds nearly all of it where it was, in its own
//! cache, since no other processor had to write it; and coming and leaving again costs the same
//! however many there are. One row of all is made when many stand apart, when one of the row leaves,
//! and by a transaction that saw no change: a subscriber that stands apart makes a round longer.
//!
//! A new row is made without a look at the subscribers in it, which lie where rounds write.

use super::books::Order;
use super::subscriber::Seat;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::slice;

/// So many stand apart, at most.
const MANY: usize = 32;

/// The list.
pub(super) struct List {
    row: Arc<Row>,
    /// In order, each with the number of those of the row that come before.
    apart: Box<[(usize, Seat)]>,
}

/// On a cache line of its own: sharing it counts references, which lie before it, and must not slow
/// a round.
#[repr(align(64))]
struct Row(Box<[Seat]>);

/// Where a subscriber of the list stands.
enum Stand {
    Row(usize),
    Apart(usize),
}

impl List {
    pub(super) fn empty() -> Self {
        Self::of([].into_iter())
    }

    fn of<'a>(seats: impl Iterator<Item = &'a Seat>) -> Self {
        Self {
            row: Arc::new(Row(seats.cloned().collect())),
            apart: Box::default(),
        }
    }

    /// How many are on it.
    pub(super) fn length(&self) -> usize {
        self.row.0.len() + self.apart.len()
    }

    /// The subscribers after so many, as far as they lie side by side; none at the end.
    pub(super) fn after(&self, count: usize) -> &[Seat] {
        // Of those that stand apart, so many are among the first `count`.
        let (mut from, mut to) = (0, self.apart.len().min(count));
        while from < to {
            let middle = from.midpoint(to);
            match self.apart.get(middle) {
                Some((at, _)) if at + middle < count => from = middle + 1,
                _ => to = middle,
            }
        }
        let row = self.row.0.get(count - from..).unwrap_or_default();
        match self.apart.get(from) {
            Some((at, seat)) if at + from == count => slice::from_ref(seat),
            Some((at, _)) => row.get(..at + from - count).unwrap_or_default(),
            None => row,
        }
    }

    /// All subscribers on it.
    pub(super) fn seats(&self) -> impl Iterator<Item = &Seat> {
        let mut count = 0;
        let rows = core::iter::from_fn(move || {
            let next = self.after(count);
            count += next.len();
            (!next.is_empty()).then_some(next)
        });
        rows.flatten()
    }

    /// With one more. Behind those of equal priority that came before; numbers tell which did.
    pub(super) fn with(&self, new: &Seat) -> Self {
        let order = new.books().order;
        let at = self
            .row
            .0
            .partition_point(|seat| seat.books().order < order);
        let behind = self
            .apart
            .partition_point(|(_, seat)| seat.books().order < order);
        let (before, behind) = self.apart.split_at(behind);
        let new = (at, new.clone());
        let list = Self {
            row: self.row.clone(),
            apart: before.iter().chain([&new]).chain(behind).cloned().collect(),
        };
        if list.apart.len() > MANY {
            return list.in_one_row();
        }
        list
    }

    /// Without the one of that order.
    pub(super) fn without(&self, order: Order) -> Self {
        match self.stand(order) {
            Some(Stand::Apart(place)) => {
                let others = self.apart.iter().enumerate().filter(|(at, _)| *at != place);
                Self {
                    row: self.row.clone(),
                    apart: others.map(|(_, apart)| apart.clone()).collect(),
                }
            }
            Some(Stand::Row(place)) => {
                let apart = self.apart.partition_point(|(at, _)| *at <= place);
                let others = self.seats().enumerate();
                Self::of(
                    others
                        .filter(|(at, _)| *at != place + apart)
                        .map(|(_, seat)| seat),
                )
            }
            None => self.in_one_row(),
        }
    }

    fn stand(&self, order: Order) -> Option<Stand> {
        let is = |seat: &Seat| seat.books().order.cmp(&order);
        if let Ok(place) = self.apart.binary_search_by(|(_, seat)| is(seat)) {
            return Some(Stand::Apart(place));
        }
        self.row.0.binary_search_by(is).ok().map(Stand::Row)
    }

    /// Whether all stand in one row.
    pub(super) fn is_one_row(&self) -> bool {
        self.apart.is_empty()
    }

    /// All in one row.
    pub(super) fn in_one_row(&self) -> Self {
        Self::of(self.seats())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::answer::Answer;
    use super::super::books::Books;
    use super::super::subscriber::seat;
    use super::*;
    use alloc::vec::Vec;
    use core::cmp::Reverse;

    fn orders(list: &List) -> Vec<Order> {
        list.seats().map(|seat| seat.books().order).collect()
    }

    /// What comes after so many, and what a list of all says.
    fn agree(list: &List, expected: &[Order]) {
        assert_eq!(orders(list), expected);
        assert_eq!(list.length(), expected.len());
        for count in 0..expected.len() {
            let next = list.after(count);
            assert!(!next.is_empty());
            for (seat, order) in next.iter().zip(&expected[count..]) {
                assert_eq!(seat.books().order, *order);
            }
        }
        assert!(list.after(expected.len()).is_empty());
    }

    #[test]
    fn coming_and_leaving_in_any_order() {
        let mut list = List::empty();
        let mut expected: Vec<Order> = Vec::new();
        let mut state = 1u64;
        let (mut apart, mut rows) = (0, 0);
        for number in 0..3000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = (state >> 33) as usize;
            // At first all come; then more come than leave for a while, then the other way about.
            let of_eight = if number % 1000 < 600 { 5 } else { 2 };
            if number < 100 || random % 8 < of_eight || expected.is_empty() {
                let order = (Reverse((random / 8 % 5) as i32), number);
                list = list.with(&seat(Books::new("someone", order), |_| Answer::Ok));
                expected.push(order);
                expected.sort_unstable();
            } else {
                let order = expected.remove(random / 8 % expected.len());
                list = list.without(order);
            }
            agree(&list, &expected);
            apart = apart.max(list.apart.len());
            rows += usize::from(list.is_one_row());
            if number % 64 == 0 {
                list = list.in_one_row();
                assert!(list.is_one_row());
                agree(&list, &expected);
            }
        }
        assert_eq!(apart, MANY, "as many stood apart as can");
        assert!(rows > 0 && rows < 3000);
    }

    #[test]
    fn who_comes_and_leaves_again_leaves_the_row_alone() {
        let subscriber = |number| {
            let order = (Reverse(0), number);
            seat(Books::new("someone", order), |_| Answer::Ok)
        };
        let mut list = List::empty();
        for number in 0..10 {
            list = list.with(&subscriber(number));
        }
        let list = list.in_one_row();
        let more = list.with(&subscriber(10));
        assert!(Arc::ptr_eq(&list.row, &more.row));
        let again = more.without((Reverse(0), 10));
        assert!(Arc::ptr_eq(&list.row, &again.row) && again.is_one_row());
        // Of the row: it is let go of.
        let less = more.without((Reverse(0), 3));
        assert!(less.is_one_row() && less.length() == 10);
    }
}
