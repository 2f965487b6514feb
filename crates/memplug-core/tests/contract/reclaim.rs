//! Reclaim: when a zone is short, owners are asked to free, one round at a time; what they free
//! serves the allocation that waited for it.

use crate::harness::{Lab, node};
use crate::witness::small_lab;
use memplug_core::units::{CpuId, Order, PageCount, Pfn};
use memplug_core::{Hotplug, Owner, PageError, PageOwner, PageRequest, Stays, ZoneKind};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// A cache that gives back what it is asked for, oldest first.
#[derive(Default)]
struct Cache {
    machine: OnceLock<Weak<Hotplug>>,
    owner: OnceLock<Owner>,
    pages: Mutex<Vec<Pfn>>,
    asked: Mutex<Vec<u64>>,
    panics: Mutex<bool>,
}

impl PageOwner for Cache {
    fn reclaim(&self, wanted: PageCount) -> PageCount {
        self.asked.lock().unwrap().push(wanted.get());
        assert!(!*self.panics.lock().unwrap(), "told to panic");
        let machine = self.machine.get().and_then(Weak::upgrade).expect("it asks");
        let owner = self.owner.get().expect("registered");
        let mut pages = self.pages.lock().unwrap();
        let count = (wanted.get() as usize).min(pages.len());
        for pfn in pages.drain(..count) {
            assert_eq!(machine.free(pfn, Order::ZERO, owner), Ok(()));
        }
        PageCount::new(count as u64)
    }
}

/// Node 1 with one Movable block of 8 MiB, and a cache that holds so much of it.
fn lab(megabytes: u64) -> (Lab, Arc<Cache>) {
    let mut lab = small_lab(2);
    lab.command("plug 8M 1");
    lab.command("w online_movable memory512/state");
    let cache = Arc::new(Cache::default());
    let owner = lab.machine.owner("cache", cache.clone()).expect("a number");
    let set = cache.machine.set(Arc::downgrade(&lab.machine)).is_ok();
    assert!(set && cache.owner.set(owner.clone()).is_ok());
    let request = PageRequest::movable(node(1)).only_node();
    let get = |_| {
        lab.machine
            .alloc(CpuId::new(0), &owner, &request)
            .expect("room")
    };
    let pages: Vec<Pfn> = (0..megabytes << 8).map(get).collect();
    cache.pages.lock().unwrap().extend(pages);
    (lab, cache)
}

fn free(lab: &Lab) -> u64 {
    lab.machine
        .zone_counts(node(1), ZoneKind::Movable)
        .free_and_cached()
        .get()
}

/// Nobody is asked while there is enough; below low they are asked for what is missing to high,
/// and allocation goes on as long as they have something.
#[test]
fn owners_are_asked_below_the_low_watermark() {
    let (lab, cache) = lab(5);
    let marks = lab.machine.watermarks(node(1), ZoneKind::Movable);
    assert!(marks.min > PageCount::ZERO && marks.min < marks.low && marks.low < marks.high);
    let owner = lab
        .machine
        .owner("greedy", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::movable(node(1)).only_node();
    let mut got = 0;
    while free(&lab) > marks.high.get() + 100 {
        lab.machine
            .alloc(CpuId::new(0), &owner, &request)
            .expect("room");
        got += 1;
    }
    assert_eq!(*cache.asked.lock().unwrap(), [0; 0], "there is enough");
    // All 8 MiB can be had by one owner in the end, but for the reserve.
    while lab.machine.alloc(CpuId::new(0), &owner, &request).is_ok() {
        got += 1;
    }
    let asked = cache.asked.lock().unwrap().clone();
    assert!(!asked.is_empty());
    let most = marks.high.get() + 1;
    assert!(
        asked.iter().all(|wanted| *wanted <= most),
        "{asked:?}, high {most}"
    );
    assert!(
        cache.pages.lock().unwrap().is_empty(),
        "everything was given back"
    );
    assert!(got + marks.min.get() >= 2048, "{got} of 2048");
    let error = lab.machine.alloc(CpuId::new(0), &owner, &request);
    assert_eq!(
        error,
        Err(PageError::NoMemory {
            order: Order::ZERO,
            node: node(1)
        })
    );
    // The reserve is for requests that help to free memory.
    lab.machine
        .alloc(CpuId::new(0), &owner, &request.use_reserves())
        .expect("from the reserve");
}

/// A reclaim that panics ends that allocation, not reclaim.
#[test]
fn a_panic_in_reclaim_is_not_the_end_of_it() {
    let (lab, cache) = lab(7);
    *cache.panics.lock().unwrap() = true;
    let owner = lab
        .machine
        .owner("greedy", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::movable(node(1)).only_node();
    let exhaust = || while lab.machine.alloc(CpuId::new(0), &owner, &request).is_ok() {};
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(exhaust));
    assert!(panicked.is_err(), "it was asked, and panicked");
    *cache.panics.lock().unwrap() = false;
    let before = cache.asked.lock().unwrap().len();
    for _ in 0..200 {
        lab.machine
            .alloc(CpuId::new(0), &owner, &request)
            .expect("the cache gives way");
    }
    assert!(cache.asked.lock().unwrap().len() > before);
}

/// An allocation inside reclaim does not ask again.
#[test]
fn reclaim_does_not_nest() {
    struct Nests {
        machine: OnceLock<Weak<Hotplug>>,
        owner: OnceLock<Owner>,
        depth: Mutex<(u32, u32)>,
    }
    impl PageOwner for Nests {
        fn reclaim(&self, _: PageCount) -> PageCount {
            let mut depth = self.depth.lock().unwrap();
            depth.0 += 1;
            depth.1 = depth.1.max(depth.0);
            drop(depth);
            let machine = self.machine.get().and_then(Weak::upgrade).expect("it asks");
            let request = PageRequest::movable(node(1)).only_node();
            let nested = machine.alloc(CpuId::new(1), self.owner.get().expect("set"), &request);
            if let Ok(pfn) = nested {
                let freed = machine.free(pfn, Order::ZERO, self.owner.get().expect("set"));
                assert_eq!(freed, Ok(()));
            }
            self.depth.lock().unwrap().0 -= 1;
            PageCount::ZERO
        }
    }
    let (lab, _cache) = lab(0);
    let nests = Arc::new(Nests {
        machine: OnceLock::from(Arc::downgrade(&lab.machine)),
        owner: OnceLock::new(),
        depth: Mutex::default(),
    });
    let owner = lab.machine.owner("nests", nests.clone()).expect("a number");
    assert!(nests.owner.set(owner.clone()).is_ok());
    let request = PageRequest::movable(node(1)).only_node();
    while lab.machine.alloc(CpuId::new(0), &owner, &request).is_ok() {}
    assert_eq!(nests.depth.lock().unwrap().1, 1);
}
