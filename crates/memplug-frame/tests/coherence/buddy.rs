//! A model of the classical buddy allocator: free lists behind one lock.
//!
//! A list head and a descriptor of a page have a line each. Lists are linked through the descriptors,
//! and used as stacks. No lists a CPU stand before it, as kernels have them for small orders.

use crate::frames::{Frames, Shape};
use memplug_frame::sync::{Apart, AtomicBool, AtomicU64, Ordering::Relaxed};
use std::collections::HashMap;

const ORDERS: usize = 11;
/// No page, or a head.
const NONE: u64 = u64::MAX;
/// The state of a page that starts no free chunk; else the state is the order.
const NOT_FREE: u64 = 99;

struct Page {
    next: AtomicU64,
    previous: AtomicU64,
    state: AtomicU64,
}

pub struct Buddy {
    lock: Apart<AtomicBool>,
    heads: [Apart<AtomicU64>; ORDERS],
    /// Those that were ever looked at: the machine may be large.
    pages: HashMap<u64, Box<Apart<Page>>>,
    frames: u64,
}

impl Buddy {
    pub fn new(shape: Shape) -> Self {
        let mut buddy = Self {
            lock: Apart::new(AtomicBool::new(false)),
            heads: core::array::from_fn(|_| Apart::new(AtomicU64::new(NONE))),
            pages: HashMap::new(),
            frames: shape.pageblocks() as u64 * 512,
        };
        for chunk in (0..buddy.frames >> (ORDERS - 1)).rev() {
            buddy.push(chunk << (ORDERS - 1), ORDERS - 1);
        }
        buddy
    }

    fn page(&mut self, frame: u64) -> &Page {
        self.pages.entry(frame).or_insert_with(|| {
            Box::new(Apart::new(Page {
                next: AtomicU64::new(NONE),
                previous: AtomicU64::new(NONE),
                state: AtomicU64::new(NOT_FREE),
            }))
        })
    }

    fn push(&mut self, frame: u64, order: usize) {
        let first = self.heads[order].load(Relaxed);
        let page = self.page(frame);
        page.state.store(order as u64, Relaxed);
        page.next.store(first, Relaxed);
        page.previous.store(NONE, Relaxed);
        if first != NONE {
            self.page(first).previous.store(frame, Relaxed);
        }
        self.heads[order].store(frame, Relaxed);
    }

    fn unlink(&mut self, frame: u64, order: usize) {
        let page = self.page(frame);
        page.state.store(NOT_FREE, Relaxed);
        let (next, previous) = (page.next.load(Relaxed), page.previous.load(Relaxed));
        if next != NONE {
            self.page(next).previous.store(previous, Relaxed);
        }
        match previous {
            NONE => self.heads[order].store(next, Relaxed),
            _ => self.page(previous).next.store(next, Relaxed),
        }
    }

    fn take(&mut self, order: usize) -> Option<u64> {
        for from in order..ORDERS {
            let frame = self.heads[from].load(Relaxed);
            if frame == NONE {
                continue;
            }
            self.unlink(frame, from);
            for half in (order..from).rev() {
                self.push(frame + (1 << half), half);
            }
            return Some(frame);
        }
        None
    }

    fn give(&mut self, mut frame: u64, mut order: usize) {
        while order < ORDERS - 1 {
            let other = frame ^ 1 << order;
            if self.page(other).state.load(Relaxed) != order as u64 {
                break;
            }
            self.unlink(other, order);
            frame &= !(1 << order);
            order += 1;
        }
        self.push(frame, order);
    }

    fn locked<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        assert!(!self.lock.swap(true, Relaxed), "one thread drives all");
        let result = f(self);
        self.lock.store(false, Relaxed);
        result
    }
}

impl Frames for Buddy {
    fn get(&mut self, _cpu: usize, order: u8) -> u64 {
        self.locked(|buddy| buddy.take(usize::from(order)))
            .expect("half is free")
    }

    fn put(&mut self, _cpu: usize, frame: u64, order: u8) {
        self.locked(|buddy| buddy.give(frame, usize::from(order)));
    }
}
