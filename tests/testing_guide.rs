//! The tests of the example that docs/testing.md explains, and a test that the page shows the code
//! of the example.

#[path = "../examples/unit_test.rs"]
#[allow(dead_code, reason = "its main function is for running it")]
mod unit_test;

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[test]
fn guide_shows_the_code_of_the_example() {
    let example = lines(include_str!("../examples/unit_test.rs"));
    let guide = include_str!("../docs/testing.md");
    let blocks: Vec<Vec<&str>> = guide
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(lines)
        .collect();
    assert!(blocks.len() >= 5, "the guide has code");
    for block in blocks {
        assert!(
            example.windows(block.len()).any(|window| window == block),
            "not in examples/unit_test.rs: {block:#?}"
        );
    }
}
