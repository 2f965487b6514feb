//! What the control groups of the process still allow it to take, in bytes.
//!
//! A group's room is its limit less its usage, where cache of files that nobody used lately counts
//! as room, since the kernel drops it before it refuses. Every ancestor of the group limits too;
//! the least room of all counts. Version 2 and version 1 of control groups are read, wherever they
//! are mounted, also with only a part of the tree in sight, as in a container. What cannot be read
//! or understood sets no limit here; the kernel will, when it comes to it.
//!
//! Left out: limits on swap, `memory.high` (it slows down, it does not refuse), and the groups of
//! other processes.

use std::path::{Component, Path, PathBuf};

/// Names of the files of one version.
struct Version {
    file_system: &'static str,
    limit: &'static str,
    usage: &'static str,
    idle_cache: &'static str,
}

const V2: Version = Version {
    file_system: "cgroup2",
    limit: "memory.max",
    usage: "memory.current",
    idle_cache: "inactive_file",
};

const V1: Version = Version {
    file_system: "cgroup",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    idle_cache: "total_inactive_file",
};

/// The least room of the process's groups, or `None` if nothing limits it. `root` stands for `/`.
pub(super) fn headroom(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = std::fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let rooms = groups.lines().filter_map(|line| {
        let (version, group) = memory_group(line)?;
        mounts
            .lines()
            .filter_map(|mount| tree(version, mount, group))
            .find_map(|(top, relative)| {
                let top = root.join(top.strip_prefix("/").ok()?);
                let group = top.join(relative);
                group
                    .ancestors()
                    .take_while(|dir| dir.starts_with(&top))
                    .filter_map(|dir| room(version, dir))
                    .min()
            })
    });
    rooms.min()
}

/// The group that a line `id:controllers:path` puts the process's memory in.
fn memory_group(line: &str) -> Option<(&'static Version, &str)> {
    let mut fields = line.splitn(3, ':');
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if id == "0" && controllers.is_empty() {
        Some((&V2, path))
    } else if controllers
        .split(',')
        .any(|controller| controller == "memory")
    {
        Some((&V1, path))
    } else {
        None
    }
}

/// If a line of mountinfo mounts the tree of the group: where, and the way from there to the group.
fn tree(version: &Version, line: &str, group: &str) -> Option<(PathBuf, PathBuf)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut file_system = file_system.split(' ');
    let (kind, _, options) = (
        file_system.next()?,
        file_system.next()?,
        file_system.next()?,
    );
    let is_ours = options.split(',').any(|option| option == "memory")
        || version.file_system == V2.file_system;
    if kind != version.file_system || !is_ours {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    let (shown, at) = (unescape(fields.next()?), unescape(fields.next()?));
    // A container may see its own group as the top of the tree, under another name than the process
    // knows it by.
    let below = Path::new(group)
        .strip_prefix(shown)
        .unwrap_or(Path::new(""));
    let inside = below
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    Some((
        PathBuf::from(at),
        if inside {
            below.to_owned()
        } else {
            PathBuf::new()
        },
    ))
}

/// Mountinfo writes blanks and a few others as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or("").to_owned();
    for part in parts {
        match part
            .split_at_checked(3)
            .map(|(digits, rest)| (u8::from_str_radix(digits, 8), rest))
        {
            Some((Ok(byte), rest)) if byte.is_ascii() => {
                plain.push(char::from(byte));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// The room of one group; `None` if it has no limit.
fn room(version: &Version, group: &Path) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        std::fs::read_to_string(group.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    let (limit, usage) = (number(version.limit)?, number(version.usage)?);
    let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let mut fields = stat.lines().filter_map(|line| line.split_once(' '));
    let idle = fields.find(|(name, _)| *name == version.idle_cache);
    let idle: u64 = idle.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    Some(limit.saturating_sub(usage.saturating_sub(idle)))
}

#[cfg(test)]
mod tests {
    use super::{headroom, unescape};
    use crate::sys::scratch::Scratch;

    fn machine(groups: &str, mounts: &str) -> Scratch {
        let root = Scratch::new();
        root.put("proc/self/cgroup", groups);
        root.put("proc/self/mountinfo", mounts);
        root
    }

    fn v2(root: &Scratch, group: &str, max: &str, current: &str) {
        root.put(&format!("cg/{group}/memory.max"), max);
        root.put(&format!("cg/{group}/memory.current"), current);
    }

    const MOUNT_V2: &str = "30 20 0:26 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn nothing_to_read_is_no_limit() {
        assert_eq!(headroom(Scratch::new().path()), None);
        assert_eq!(headroom(machine("0::/\n", "").path()), None);
        assert_eq!(
            headroom(machine("garbage\n::\n", "garbage - \n").path()),
            None
        );
    }

    #[test]
    fn the_tightest_ancestor_counts() {
        let root = machine("0::/a/b\n", MOUNT_V2);
        v2(&root, "a/b", "max\n", "10\n");
        assert_eq!(headroom(root.path()), None);
        v2(&root, "a", "1000\n", "300\n");
        assert_eq!(headroom(root.path()), Some(700));
        v2(&root, "a/b", "650\n", "10\n");
        assert_eq!(headroom(root.path()), Some(640));
        v2(&root, "a/b", "650\n", "800\n");
        assert_eq!(headroom(root.path()), Some(0), "over the limit is no room");
    }

    #[test]
    fn idle_cache_is_room() {
        let root = machine("0::/a\n", MOUNT_V2);
        v2(&root, "a", "1000\n", "900\n");
        root.put(
            "cg/a/memory.stat",
            "anon 600\nfile 300\ninactive_file 200\nactive_file 100\n",
        );
        assert_eq!(headroom(root.path()), Some(300));
        root.put("cg/a/memory.stat", "inactive_file 5000\n");
        assert_eq!(
            headroom(root.path()),
            Some(1000),
            "never more than the limit"
        );
    }

    #[test]
    fn version_1_beside_version_2() {
        let groups = "5:cpuset:/x\n4:cpu,memory:/app\n0::/\n";
        let mounts = format!(
            "31 20 0:27 / /cpuset rw - cgroup cgroup rw,cpuset\n\
             32 20 0:28 / /v1\\040memory rw - cgroup cgroup rw,cpu,memory\n{MOUNT_V2}"
        );
        let root = machine(groups, &mounts);
        root.put("v1 memory/memory.limit_in_bytes", "9223372036854771712\n");
        root.put("v1 memory/memory.usage_in_bytes", "123\n");
        root.put("v1 memory/app/memory.limit_in_bytes", "500\n");
        root.put("v1 memory/app/memory.usage_in_bytes", "450\n");
        root.put(
            "v1 memory/app/memory.stat",
            "inactive_file 7\ntotal_inactive_file 20\n",
        );
        assert_eq!(headroom(root.path()), Some(70));
        // Both versions may hold memory to account for; neither hides the other.
        v2(&root, ".", "60\n", "0\n");
        assert_eq!(headroom(root.path()), Some(60));
        v2(&root, ".", "6000\n", "0\n");
        assert_eq!(headroom(root.path()), Some(70));
    }

    #[test]
    fn part_of_the_tree_in_sight() {
        // The mount shows the group itself at its top.
        let root = machine(
            "0::/pod/one\n",
            "30 20 0:26 /pod/one /cg rw - cgroup2 cgroup2 rw\n",
        );
        v2(&root, ".", "100\n", "40\n");
        assert_eq!(headroom(root.path()), Some(60));
        // The process knows its group by a way that leads out of what is mounted.
        let root = machine("0::/../two\n", MOUNT_V2);
        v2(&root, ".", "100\n", "30\n");
        v2(&root, "../two", "7\n", "0\n");
        assert_eq!(headroom(root.path()), Some(70));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/a\\04"), "/a\\04");
        assert_eq!(unescape("\\999x\\\u{e9}"), "\\999x\\\u{e9}");
    }
}
