//! How figures are written for people: bytes, counts, times, rates, and text on one line.
//!
//! For the screen and the report only; documents and events carry plain numbers.

use std::time::Duration;

/// Bytes in the unit that leaves one to four digits before the point.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// Bytes a second.
pub(crate) fn byte_rate(per_second: u64) -> String {
    if per_second == 0 {
        return "-".to_owned();
    }
    format!("{}/s", bytes(per_second))
}

/// A count, its digits in groups of three.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time with three digits or so: `3us`, `1.24ms`, `12.3s`.
pub(crate) fn time(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    let (value, unit) = match time.as_nanos() {
        0..1_000 => return format!("{}ns", time.as_nanos()),
        1_000..1_000_000 => (nanos / 1e3, "us"),
        1_000_000..1_000_000_000 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

/// A time given in seconds.
pub(crate) fn seconds(seconds: f64) -> String {
    time(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// So many in that time, by the second; 0 if there was no time.
pub(crate) fn per_second(count: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos();
    let rate = (u128::from(count) * 1_000_000_000).checked_div(nanos);
    rate.map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}

/// The text with its control characters spelled out, so that it stays one line.
pub(crate) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_as_people_read_them() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(192 << 20), "192.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(time(Duration::ZERO), "0ns");
        assert_eq!(time(Duration::from_nanos(3_100)), "3.10us");
        assert_eq!(time(Duration::from_micros(12_400)), "12.4ms");
        assert_eq!(time(Duration::from_millis(123_456)), "123s");
        assert_eq!(seconds(f64::NAN), "0ns");
        assert_eq!(per_second(10, Duration::ZERO), 0);
        assert_eq!(per_second(u64::MAX, Duration::from_nanos(1)), u64::MAX);
        assert_eq!(per_second(500, Duration::from_millis(250)), 2000);
        assert_eq!(one_line("a\nb\x1b"), "a\\nb\\u{1b}");
    }
}
