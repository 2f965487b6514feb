//! In the place of a peer from outside when there is none.
//!
//! Has no value, so nothing of it can ever be called.

use super::{Ask, Frames, Outsider, PageAllocator};
use anyhow::{Result, bail};
use std::convert::Infallible;
use std::time::Duration;

/// Nobody.
#[derive(Debug)]
pub struct Absent(Infallible);

impl PageAllocator for Absent {
    fn get<const ORDER: u8>(&self, _: usize) -> Option<u64> {
        match self.0 {}
    }
    fn put<const ORDER: u8>(&self, _: usize, _: u64) -> bool {
        match self.0 {}
    }
    fn free_frames(&self) -> Option<u64> {
        match self.0 {}
    }
}

impl Frames for Absent {
    fn get(&self, _: usize, _: Ask) -> Option<u64> {
        match self.0 {}
    }
    fn put(&self, _: usize, _: Ask, _: u64) -> bool {
        match self.0 {}
    }
}

impl Outsider for Absent {
    type Frames = Self;

    const NAME: Option<&'static str> = None;

    fn create(_: u64, _: usize) -> Result<Self> {
        bail!("not there")
    }
    fn create_frames(_: u64, _: usize, _: bool) -> Result<Self> {
        bail!("not there")
    }
    fn metadata_bytes(_: u64, _: usize) -> u64 {
        0
    }
    fn initialise(_: u64, _: usize, _: bool) -> Result<Duration> {
        bail!("not there")
    }
}
