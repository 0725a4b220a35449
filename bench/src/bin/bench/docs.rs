//! The page with the results.

use std::error::Error;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.svg");
const BEGIN: &str = "<!-- begin of results: scripts/bench --write-docs -->\n";
const END: &str = "<!-- end of results -->";

/// Replaces the table of the page, and writes the plot beside the page.
pub fn write(table: &str, plot: &str) -> Result<(), Box<dyn Error>> {
    let page = std::fs::read_to_string(PAGE)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/performance.md has no mark for the begin of the results")?;
    let (_, after) = rest.split_once(END).ok_or("docs/performance.md has no mark for the end of the results")?;
    std::fs::write(PAGE, format!("{before}{BEGIN}\n{}\n\n{END}{after}", table.trim()))?;
    std::fs::write(PLOT, plot)?;
    Ok(())
}
