//! Plugs 1 GiB, uses it, refuses to give it back once, and unplugs it.
//!
//! `cargo run -p memplug --example plug` prints the events with their arguments, what the system
//! holds for the device, and the refusal.

use memplug::{Answer, Bytes, Machine, MemoryEvent, NodeId, OfflineOptions, OnlineWord};
use std::sync::atomic::{AtomicBool, Ordering};

static BUSY: AtomicBool = AtomicBool::new(true);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = Machine::builder().nodes(2).build()?;
    let _registration = machine.subscribe("example", 0, |notice| {
        println!("{} {}", notice.event, notice.notify);
        match notice.event {
            MemoryEvent::GoingOffline if BUSY.load(Ordering::Relaxed) => {
                Answer::refuse("still computing")
            }
            _ => Answer::Ok,
        }
    });

    let node = NodeId::new(1);
    let dimm = machine.plug(node, Bytes::new(1 << 30), OnlineWord::Kernel)?;
    let pool = machine.pool("results")?;
    let mut pages = Vec::new();
    for i in 0..1000u32 {
        let mut page = pool.page_on(node)?;
        page[..4].copy_from_slice(&i.to_le_bytes());
        pages.push(page);
    }
    println!("the system holds {} for it", machine.memory_use().held());

    drop(pages);
    let refused = machine.unplug(dimm.device, &OfflineOptions::default());
    println!("{}", refused.expect_err("it is still computing"));
    BUSY.store(false, Ordering::Relaxed);
    machine.unplug(dimm.device, &OfflineOptions::default())?;
    assert_eq!(machine.memory_use().held(), Bytes::ZERO);
    Ok(())
}
