//! The head of a scenario: the machine it asks for, and how long it may take.
//!
//! `# machine:` options as the recorder takes them, `# append:` a kernel command line,
//! `# timeout:` seconds. What a served machine cannot have is an error, so that no transcript
//! passes on the wrong machine.

use anyhow::{Context, Result, bail, ensure};

const TIMEOUT: u64 = 150;

/// What a scenario asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Nodes that are possible.
    pub nodes: u16,
    /// Boot memory, as written.
    pub mem: String,
    /// Boot memory of each node, in bytes.
    pub node_mem: Vec<u64>,
    /// The node of each processor.
    pub cpu_nodes: Vec<u16>,
    /// The kernel command line.
    pub append: String,
    /// Seconds it may take.
    pub timeout: u64,
}

/// Bytes of a size as the recorder takes it: MiB, or with a letter.
fn size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        _ => (text, 20),
    };
    let number: u64 = digits.parse().with_context(|| format!("size {text}"))?;
    number
        .checked_mul(1 << shift)
        .with_context(|| format!("size {text} is too large"))
}

impl Head {
    pub fn parse(script: &str) -> Result<Self> {
        let field = |name: &str| {
            let mut lines = script.lines();
            let found = lines.find_map(|line| line.strip_prefix(&format!("# {name}:")));
            found.map(str::trim).unwrap_or("")
        };
        let mut head = Self {
            nodes: 1,
            mem: "1G".into(),
            node_mem: Vec::new(),
            cpu_nodes: vec![0, 0],
            append: field("append").into(),
            timeout: match field("timeout") {
                "" => TIMEOUT,
                seconds => seconds.parse().context("timeout")?,
            },
        };
        let mut node_mem = String::new();
        let mut cpu_node = String::new();
        let mut cpus = head.cpu_nodes.len();
        let mut words = field("machine").split_whitespace();
        while let Some(option) = words.next() {
            let value = words
                .next()
                .with_context(|| format!("{option} without a value"))?;
            match option {
                "--numa" => head.nodes = value.parse().context("--numa")?,
                "--mem" => head.mem = value.into(),
                "--node-mem" => node_mem = value.into(),
                "--cpu-node" => cpu_node = value.into(),
                "--smp" => {
                    cpus = value.split(',').next().unwrap_or("").parse()?;
                    ensure!((1..=64).contains(&cpus), "--smp {value}; use 1 to 64");
                }
                // Room for DIMMs is not limited here.
                "--maxmem" | "--timeout" => {}
                other => bail!("machine option {other} is unknown; teach it to the replay"),
            }
        }
        if !cpu_node.is_empty() {
            let nodes: Result<Vec<u16>, _> = cpu_node.split(',').map(str::parse).collect();
            head.cpu_nodes = nodes.context("--cpu-node")?;
        }
        // Processors without a node are on the first one; nodes without a processor have none.
        head.cpu_nodes.resize(cpus, 0);
        head.node_mem = match node_mem.as_str() {
            "" => vec![size(&head.mem)?],
            list => list
                .split(',')
                .map(|one| if one.is_empty() { Ok(0) } else { size(one) })
                .collect::<Result<_>>()?,
        };
        ensure!(
            head.node_mem.len() <= usize::from(head.nodes),
            "--node-mem names more nodes than --numa allows"
        );
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_defaults() {
        let head = Head::parse("# machine: --numa 2\n# timeout: 200\nx").expect("plain");
        assert_eq!(
            (head.nodes, head.timeout, head.node_mem),
            (2, 200, vec![1 << 30])
        );
        assert_eq!(head.cpu_nodes, [0, 0]);
        let text = "# machine: --numa 3 --mem 1G --node-mem 512M,,512M --smp 3 --cpu-node 0,1,2\n\
                    # append: movable_node\n";
        let head = Head::parse(text).expect("full");
        assert_eq!(head.node_mem, [512 << 20, 0, 512 << 20]);
        assert_eq!(
            (head.cpu_nodes.as_slice(), head.append.as_str()),
            (&[0, 1, 2][..], "movable_node")
        );
        let fewer = Head::parse("# machine: --numa 2 --cpu-node 1 --smp 4\n").expect("fewer");
        assert_eq!(fewer.cpu_nodes, [1, 0, 0, 0]);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for text in [
            "--numa",
            "--numa x",
            "--frob 1",
            "--mem 1Q --numa 1",
            "--smp 0",
            "--node-mem 1G,1G",
        ] {
            assert!(
                Head::parse(&format!("# machine: {text}\n")).is_err(),
                "{text}"
            );
        }
    }
}
