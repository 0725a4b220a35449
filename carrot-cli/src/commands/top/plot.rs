//! A plot of block characters.

const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Plots the last values from 0 to their maximum, one column for each, the newest at the right.
pub(super) fn plot(values: &[u64], width: usize, height: usize) -> Vec<String> {
    let values = &values[values.len().saturating_sub(width)..];
    let most = u128::from(values.iter().copied().max().unwrap_or(0).max(1));
    let eighths = |value: u64| {
        let full = 8 * height as u128;
        let eighths = (u128::from(value) * full).div_ceil(most);
        usize::try_from(eighths).unwrap_or(0)
    };
    let row = |row: usize| {
        let below = 8 * (height - 1 - row);
        let column = |value: &u64| BLOCKS[eighths(*value).saturating_sub(below).min(8)];
        format!(
            "{}{}",
            " ".repeat(width - values.len()),
            values.iter().map(column).collect::<String>()
        )
    };
    (0..height).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plot_reaches_from_zero_to_the_maximum() {
        assert_eq!(plot(&[0, 1, 8, 9, 16], 6, 2), ["    ▁█", "  ▁███"]);
        assert_eq!(plot(&[16, 8, 4], 2, 1), ["█▄"]);
    }

    #[test]
    fn plot_of_any_values_has_its_size() {
        for values in [&[][..], &[0], &[0; 9], &[u64::MAX, 1, 0], &[7; 500]] {
            for (width, height) in [(0, 1), (1, 1), (40, 4)] {
                let rows = plot(values, width, height);
                assert_eq!(rows.len(), height);
                assert!(rows.iter().all(|row| row.chars().count() == width), "{rows:?}");
            }
        }
    }
}
