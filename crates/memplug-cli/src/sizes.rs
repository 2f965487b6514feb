//! How large everything is: block, boot memory and device, from what was typed and the files.
//!
//! By default the block is an eighth of the files, boot memory 40 % of them and the device 80 %:
//! boot memory alone must evict, with the device there is room for all. Whether the system has so
//! much is asked before anything is begun, since a system that promises more than it has kills.

use crate::args::RunArgs;
use memplug::{Bytes, Geometry, GeometryError};
use std::time::Duration;

/// The sizes of a machine. All whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) block: Bytes,
    pub(crate) boot: Bytes,
    pub(crate) device: Bytes,
}

/// Why sizes cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SizesError {
    #[error("--block: {0}")]
    Block(#[from] GeometryError),
    #[error("--block {0} is less than the smallest block; use 2M or a larger power of two")]
    SmallBlock(Bytes),
    #[error("--max-bytes {0} is less than a page; use 4K or more")]
    NoPage(Bytes),
    #[error("{option} 0 is no memory; use {block} or more")]
    Zero { option: &'static str, block: Bytes },
    #[error("{option} {size} is not whole blocks; use a multiple of {block}")]
    NotBlocks {
        option: &'static str,
        size: Bytes,
        block: Bytes,
    },
    #[error(
        "--boot {boot} and --device {device} are more than the {available} the system has left; \
         use less, or a smaller --max-bytes"
    )]
    TooMuch {
        boot: Bytes,
        device: Bytes,
        available: Bytes,
    },
}

const SMALLEST_BLOCK: u64 = 2 << 20;
const LARGEST_DEFAULT_BLOCK: u64 = 128 << 20;

impl Sizes {
    /// What can be said against the options before the files are known.
    pub(crate) fn check(args: &RunArgs, available: Option<u64>) -> Result<(), SizesError> {
        if args.max_bytes.get() < crate::files::PAGE {
            return Err(SizesError::NoPage(args.max_bytes));
        }
        Self::choose(args, 0, available).map(drop)
    }

    /// The sizes for files of so many bytes on a system that has `available` left, if it tells.
    pub(crate) fn choose(
        args: &RunArgs,
        files: u64,
        available: Option<u64>,
    ) -> Result<Self, SizesError> {
        let block = match args.block {
            Some(block) => block,
            None => Bytes::new(default_block(files)),
        };
        if block.get() < SMALLEST_BLOCK {
            return Err(SizesError::SmallBlock(block));
        }
        Geometry::with_block_size(block)?;
        // Not known yet, the block is at least so large.
        let part = |tenths: u64, least: u64| {
            let blocks = files / 10 * tenths / block.get();
            let rounded = (files / 10 * tenths % block.get()) * 2 >= block.get();
            Bytes::new(blocks.saturating_add(u64::from(rounded)).max(least) * block.get())
        };
        let sizes = Self {
            block,
            boot: whole(args.boot, "--boot", block)?.unwrap_or(part(4, 2)),
            device: whole(args.device, "--device", block)?.unwrap_or(part(8, 4)),
        };
        sizes.fit(available)?;
        Ok(sizes)
    }

    fn fit(&self, available: Option<u64>) -> Result<(), SizesError> {
        let all = self.boot.checked_add(self.device);
        let fits = |available| all.is_some_and(|all| all.get() <= available);
        match available {
            Some(available) if !fits(available) => Err(SizesError::TooMuch {
                boot: self.boot,
                device: self.device,
                available: Bytes::new(available >> 20 << 20),
            }),
            _ => Ok(()),
        }
    }

    /// Blocks of the device.
    pub(crate) fn device_blocks(&self) -> u64 {
        self.device.get() / self.block.get()
    }

    /// Address space for it, from 0: boot memory begins at 4 GiB, and the device has its own
    /// place above it.
    pub(crate) fn address_space(&self) -> Bytes {
        let used = self.boot.get().saturating_add(self.device.get());
        let end = used
            .saturating_add(4 << 30)
            .checked_next_multiple_of(1 << 30);
        Bytes::new(end.unwrap_or(u64::MAX))
    }
}

fn whole(
    size: Option<Bytes>,
    option: &'static str,
    block: Bytes,
) -> Result<Option<Bytes>, SizesError> {
    match size {
        Some(Bytes::ZERO) => Err(SizesError::Zero { option, block }),
        Some(size) if !size.get().is_multiple_of(block.get()) => Err(SizesError::NotBlocks {
            option,
            size,
            block,
        }),
        size => Ok(size),
    }
}

fn default_block(files: u64) -> u64 {
    let eighth = (files / 8).clamp(SMALLEST_BLOCK, LARGEST_DEFAULT_BLOCK);
    1 << eighth.ilog2()
}

/// The times of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) duration: Duration,
    pub(crate) phase: Duration,
    pub(crate) deadline: Duration,
    /// Pages not read for so long are dropped, not moved.
    pub(crate) cold_after: Duration,
}

/// A default phase is at most this.
const LONGEST_PHASE: Duration = Duration::from_secs(3);

impl Times {
    /// As typed, with defaults that follow from it.
    pub(crate) fn choose(args: &RunArgs) -> Self {
        let phase = args.phase.unwrap_or((args.duration / 4).min(LONGEST_PHASE));
        Self {
            duration: args.duration,
            phase,
            deadline: args.deadline,
            cold_after: (phase / 2).min(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    const M: u64 = 1 << 20;

    fn args(options: &[&str]) -> RunArgs {
        let line = ["memplug", "run"].iter().chain(options);
        let command = Cli::try_parse_from(line).expect("a command line").command;
        let Command::Run(args) = command else {
            panic!("{options:?}: another verb");
        };
        args
    }

    fn sizes(options: &[&str], files: u64) -> Result<[u64; 3], SizesError> {
        let sizes = Sizes::choose(&args(options), files, Some(8 << 30))?;
        Ok([sizes.block, sizes.boot, sizes.device].map(|size| size.get() / M))
    }

    #[test]
    fn sizes_follow_the_files() {
        assert_eq!(sizes(&[], 512 * M), Ok([64, 192, 384]));
        assert_eq!(sizes(&[], 1), Ok([2, 4, 8]));
        assert_eq!(sizes(&[], 0), Ok([2, 4, 8]));
        assert_eq!(sizes(&[], 4096 * M), Ok([128, 1664, 3328]));
        assert_eq!(sizes(&["--block", "16M"], 1), Ok([16, 32, 64]));
        assert_eq!(sizes(&["--boot", "2M", "--device", "2M"], 1), Ok([2, 2, 2]));
    }

    #[test]
    fn any_size_of_files_is_answered() {
        for shift in 0..64 {
            for files in [1u64 << shift, (1 << shift) - 1, u64::MAX - (1 << shift)] {
                let _ = Sizes::choose(&args(&[]), files, None).map(|s| s.address_space());
            }
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let error = |options: &[&str]| sizes(options, M).expect_err("an error");
        assert!(matches!(error(&["--block", "3M"]), SizesError::Block(_)));
        assert!(matches!(error(&["--block", "4G"]), SizesError::Block(_)));
        assert!(matches!(
            error(&["--block", "0"]),
            SizesError::SmallBlock(_)
        ));
        assert!(matches!(
            error(&["--block", "1M"]),
            SizesError::SmallBlock(_)
        ));
        assert!(matches!(error(&["--boot", "0"]), SizesError::Zero { .. }));
        assert!(matches!(error(&["--device", "0"]), SizesError::Zero { .. }));
        for size in ["3M", "1", "18446744073709551615"] {
            assert!(matches!(
                error(&["--device", size]),
                SizesError::NotBlocks { .. }
            ));
        }
        for size in ["16T", "0xffffffffffe00000"] {
            assert!(matches!(
                error(&["--device", size]),
                SizesError::TooMuch { .. }
            ));
            assert!(matches!(
                error(&["--boot", size]),
                SizesError::TooMuch { .. }
            ));
        }
        let none = Sizes::check(&args(&["--max-bytes", "4095"]), None);
        assert!(matches!(none, Err(SizesError::NoPage(_))));
    }

    #[test]
    fn times_follow_the_duration() {
        let times = |options: &[&str]| Times::choose(&args(options));
        assert_eq!(times(&[]).phase, Duration::from_secs(3));
        assert_eq!(times(&["--duration", "60s"]).phase, Duration::from_secs(3));
        let short = times(&["--duration", "2s"]);
        assert_eq!(short.phase, Duration::from_millis(500));
        assert_eq!(short.cold_after, Duration::from_millis(250));
        assert_eq!(times(&["--phase", "9s"]).cold_after, Duration::from_secs(1));
    }
}
