//! What the workloads ask of an allocator, and how ours serves them: by the calls that name a
//! processor, not by those of a thread that has one to itself.

use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONE: ZoneId = ZoneId::new(0);

/// A machine.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub cpus: usize,
    /// Pageblocks for each CPU; 64 are a memory block of 128 MiB.
    pub share: usize,
}

impl Shape {
    pub const fn pageblocks(self) -> usize {
        self.cpus * self.share
    }
}

/// An allocator of page frames. Its words are counted ones.
pub trait Frames {
    /// The first frame of a chunk.
    fn get(&mut self, cpu: usize, order: u8) -> u64;
    /// What was got, perhaps by another CPU.
    fn put(&mut self, cpu: usize, frame: u64, order: u8);
}

/// The allocator of this crate, by its public calls only.
pub struct Ours {
    table: FrameTable,
    owner: OwnerId,
    /// Processors that it is told of.
    told: usize,
}

impl Ours {
    pub fn new(shape: Shape) -> Self {
        Self::telling(shape, shape.cpus)
    }

    /// Several CPUs use one processor number if fewer are told of than there are.
    pub fn telling(shape: Shape, told: usize) -> Self {
        let pages = shape.pageblocks() as u64 * 512;
        let limit = PageCount::new(pages);
        let table = FrameTable::new(&Geometry::default(), limit, 1, told as u16).expect("small");
        let all = PfnRange::between(Pfn::new(0), Pfn::new(pages));
        table.online(all, ZONE).expect("all is there");
        let owner = table.add_owner().expect("the first");
        Self { table, owner, told }
    }
}

fn order_of(order: u8) -> Order {
    Order::new(order).expect("0 or 9")
}

impl Frames for Ours {
    fn get(&mut self, cpu: usize, order: u8) -> u64 {
        let request = Request {
            class: Class::new(self.owner, MigrateType::Movable, order_of(order)),
            key: RequestKey::new(0),
            zones: &[ZONE],
            reserves: Reserves::Keep,
        };
        let cpu = CpuId::new((cpu % self.told) as u16);
        self.table
            .get(cpu, &request)
            .expect("half is free at least")
            .get()
    }

    fn put(&mut self, _cpu: usize, frame: u64, order: u8) {
        let done = self.table.put(Pfn::new(frame), order_of(order), self.owner);
        done.expect("it was got");
    }
}
