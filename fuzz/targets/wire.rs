//! Feeds what libFuzzer comes up with to `memplug_fuzz::wire`, where everything is that is done
//! and expected. A hang is found by libFuzzer's own limit.
#![no_main]
#![forbid(unsafe_code)]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| memplug_fuzz::wire(bytes));
