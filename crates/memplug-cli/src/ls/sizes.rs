//! Sizes as util-linux prints them: the largest binary unit, one digit behind the point if the
//! number is not whole, rounded half up from thousandths.

/// `384M`, `1.5G`, `0B`.
pub(crate) fn human(bytes: u64) -> String {
    let units = ["B", "K", "M", "G", "T", "P", "E"];
    let unit = (1..units.len())
        .rev()
        .find(|&unit| bytes >> (10 * unit) > 0)
        .unwrap_or(0);
    let shift = 10 * u32::try_from(unit).unwrap_or(0);
    let (mut whole, rest) = (bytes >> shift, bytes & ((1u64 << shift) - 1));
    // At most 60 bits times 1000 fit into 128.
    let thousandths = (u128::from(rest) * 1000) >> shift;
    let mut tenths = (thousandths + 50) / 100;
    if tenths == 10 {
        whole += 1;
        tenths = 0;
    }
    let letter = units.get(unit).copied().unwrap_or("B");
    match tenths {
        0 => format!("{whole}{letter}"),
        _ => format!("{whole}.{tenths}{letter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_rounded_to_one_digit() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1K"),
            (384 << 20, "384M"),
            (1536 << 20, "1.5G"),
            (1 << 40, "1T"),
            ((1 << 30) + (1 << 20), "1G"),
            ((2 << 30) - 1, "2G"),
            (1152 << 20, "1.1G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
