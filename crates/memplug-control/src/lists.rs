//! How a kernel writes lists into its files: node and processor lists, masks, zone names.
//!
//! Without the newline at the end, which is the file's. Numbers are given ascending.

use crate::word::ZoneName;

/// Ascending numbers as `0`, `0-1`, `0,2`; nothing for none.
///
/// ```
/// assert_eq!(memplug_control::number_list(&[0, 1, 2, 5]), "0-2,5");
/// assert_eq!(memplug_control::number_list(&[]), "");
/// ```
pub fn number_list(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let runs = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// The names of zones as `valid_zones` shows them; `none` for none.
pub fn zone_words(zones: &[ZoneName]) -> String {
    if zones.is_empty() {
        return "none".into();
    }
    let names: Vec<&str> = zones.iter().map(|zone| zone.name()).collect();
    names.join(" ")
}

/// A mask of numbers below `possible` as hexadecimal words of 32 bits, highest first.
///
/// ```
/// assert_eq!(memplug_control::cpu_mask(&[0, 1, 33], 34), "2,00000003");
/// assert_eq!(memplug_control::cpu_mask(&[], 2), "0");
/// ```
pub fn cpu_mask(numbers: &[u32], possible: u32) -> String {
    let words = possible.div_ceil(32).max(1);
    let mut text = String::new();
    for word in (0..words).rev() {
        let here = numbers.iter().filter(|&&number| number / 32 == word);
        let bits = here.fold(0u32, |bits, number| bits | 1 << (number % 32));
        // The first word is as wide as the mask needs it.
        let top = word + 1 == words && !possible.is_multiple_of(32);
        let digits = if top { (possible % 32).div_ceil(4) } else { 8 };
        let width = usize::try_from(digits.max(1)).unwrap_or(8);
        if !text.is_empty() {
            text.push(',');
        }
        text += &format!("{bits:0width$x}");
    }
    text
}
