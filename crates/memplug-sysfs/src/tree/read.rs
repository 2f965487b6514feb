//! What reading gives, to the byte.
//!
//! A read of `online` waits for the block's transition under way; no other read waits.

use super::place::{Family, Place};
use super::table::{Kind, What};
use super::{Tree, gone};
use memplug_control::{BlockState, NodeInfo, PolicyName, cpu_mask, number_list, zone_words};
use rustix::io::Errno;

impl Tree {
    /// Whether reading it may wait for a transition.
    pub fn read_waits(&self, file: Place) -> bool {
        file.row().is_some_and(|row| row.what == What::Online)
    }

    /// What is in a file.
    ///
    /// # Errors
    /// `EACCES` if it is only for writing; `ENOENT` if its block or node is gone; `EISDIR`,
    /// `EINVAL` if it is no file.
    pub fn read(&self, file: Place) -> Result<Vec<u8>, Errno> {
        let row = file.row().ok_or(Errno::INVAL)?;
        match row.kind {
            Kind::Directory => return Err(Errno::ISDIR),
            Kind::Link(_) => return Err(Errno::INVAL),
            Kind::File(mode, _) if mode & 0o400 == 0 => return Err(Errno::ACCESS),
            Kind::File(..) => {}
        }
        if row.what.is_power() {
            return Ok(self.read_power(file, row.what)?.into());
        }
        let text = match file.family() {
            Family::Block(id) => self.read_block(id, row.what)?,
            Family::Node(id) => self.read_node(id, row.what)?,
            Family::Fixed => self.read_fixed(row.what)?,
            Family::BlockNode(..) | Family::NodeBlock(..) | Family::NodeCpu(..) => {
                return Err(Errno::INVAL);
            }
        };
        Ok(text.into_bytes())
    }

    fn read_block(&self, id: u64, what: What) -> Result<String, Errno> {
        let block = self.block(id)?;
        Ok(match what {
            What::State => format!("{}\n", block.state.word()),
            What::Online => {
                // The flag says "not offline", and is looked at when nothing moves any more.
                let settled = self.control().settled(id).map_err(gone)?;
                let online = settled.state == BlockState::Online;
                format!("{}\n", u8::from(online))
            }
            What::PhysIndex => format!("{id:08x}\n"),
            What::PhysDevice => "0\n".into(),
            What::Removable => "1\n".into(),
            What::ValidZones => format!("{}\n", zone_words(&block.valid_zones)),
            What::Uevent => String::new(),
            What::Fixed(text) => text.into(),
            _ => return Err(Errno::INVAL),
        })
    }

    fn read_node(&self, id: u32, what: What) -> Result<String, Errno> {
        let node = self.node(id)?;
        let cpus = self.machine()?.cpus;
        Ok(match what {
            What::NodeMeminfo => self.node_meminfo(&node)?,
            What::CpuList => format!("{}\n", number_list(&node.cpus)),
            What::CpuMap => format!("{}\n", cpu_mask(&node.cpus, cpus)),
            What::Distance => {
                let nodes = self.control().nodes().map_err(gone)?;
                let online = nodes.iter().filter(|other| other.online);
                let far = online.map(|other| if other.id == id { "10" } else { "20" });
                format!("{}\n", far.collect::<Vec<_>>().join(" "))
            }
            What::Numastat => [
                "numa_hit",
                "numa_miss",
                "numa_foreign",
                "interleave_hit",
                "local_node",
                "other_node",
            ]
            .map(|name| format!("{name} 0\n"))
            .concat(),
            What::Vmstat => self.node_vmstat(&node)?,
            What::PoolSize | What::PoolCount => "0\n".into(),
            What::DemoteSize => "2048kB\n".into(),
            What::Uevent => String::new(),
            What::Fixed(text) => text.into(),
            _ => return Err(Errno::INVAL),
        })
    }

    fn read_fixed(&self, what: What) -> Result<String, Errno> {
        Ok(match what {
            What::BlockSize => format!("{:x}\n", self.machine()?.block_size),
            What::AutoOnline => self.setting(PolicyName::AutoOnlineBlocks)?,
            What::OnlinePolicy => self.setting(PolicyName::OnlinePolicy)?,
            What::AutoMovableRatio => self.setting(PolicyName::AutoMovableRatio)?,
            What::AutoMovableNumaAware => self.setting(PolicyName::AutoMovableNumaAware)?,
            What::MemmapOnMemory => {
                let policy = self.control().policy().map_err(gone)?;
                if policy.memmap_on_memory {
                    "Y\n"
                } else {
                    "N\n"
                }
                .into()
            }
            What::Possible => format!("{}\n", number_list(&self.machine()?.nodes_possible)),
            What::NodesOnline => self.mask(|node| node.online)?,
            What::HasMemory => self.mask(|node| node.has_memory)?,
            What::HasNormalMemory => self.mask(|node| node.has_normal_memory)?,
            What::HasCpu => self.mask(|node| !node.cpus.is_empty())?,
            What::Meminfo => self.meminfo()?,
            What::Zoneinfo => self.zoneinfo()?,
            What::Buddyinfo => self.buddyinfo()?,
            What::RefuseOnline | What::RefuseOffline => {
                format!("{}\n", self.inject.get(what == What::RefuseOnline))
            }
            What::Uevent => String::new(),
            What::Fixed(text) => text.into(),
            _ => return Err(Errno::INVAL),
        })
    }

    fn setting(&self, name: PolicyName) -> Result<String, Errno> {
        let policy = self.control().policy().map_err(gone)?;
        Ok(format!("{}\n", policy.get(name).shown()))
    }

    fn mask(&self, has: impl Fn(&NodeInfo) -> bool) -> Result<String, Errno> {
        let nodes = self.control().nodes().map_err(gone)?;
        let set: Vec<u32> = nodes
            .iter()
            .filter(|node| has(node))
            .map(|node| node.id)
            .collect();
        Ok(format!("{}\n", number_list(&set)))
    }
}
