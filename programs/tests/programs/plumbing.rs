//! Counts the lines of the programs that are no business of theirs.

use std::fs;
use std::path::Path;

/// The ceiling of all programs together. The first version of these programs had 390 such lines.
const MOST: usize = 60;

/// Code that is plumbing wherever it stands.
const PLUMBING: [&str; 20] = [
    "carrot::connect",
    "from_env",
    "ctrlc::",
    "stop_handle",
    ".unblock(",
    ".join()",
    ".stop(",
    ".close(",
    "Retry::",
    "_layer(",
    "with_layer(",
    ".health()",
    "declare_all",
    "toml::",
    "PrometheusBuilder",
    "exporter.",
    ".statistics()",
    "tracing_subscriber::fmt()",
    "Server::http",
    "declare(",
];

/// Returns the numbers of the lines below comments that begin with "Plumbing:", down to a blank
/// line or the end of their block, and the lines that should be among them and are not.
fn count(source: &str) -> (Vec<usize>, Vec<String>) {
    let (mut counted, mut unmarked) = (Vec::new(), Vec::new());
    let mut indent_of_paragraph = None;
    for (number, line) in source.lines().enumerate() {
        let code = line.trim();
        let indent = line.len() - line.trim_start().len();
        if code.starts_with("// Plumbing:") {
            indent_of_paragraph = Some(indent);
        } else if code.is_empty() || indent_of_paragraph.is_some_and(|least| indent < least) {
            indent_of_paragraph = None;
        }
        let is_code = !code.starts_with("//")
            && !code.starts_with("use ")
            && code.chars().any(char::is_alphanumeric);
        if is_code && indent_of_paragraph.is_some() {
            counted.push(number + 1);
        } else if is_code && PLUMBING.iter().any(|word| code.contains(word)) {
            unmarked.push(format!("{}: {code}", number + 1));
        }
    }
    (counted, unmarked)
}

#[test]
fn lines_of_plumbing_are_few() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut total = 0;
    for program in ["web_hooks", "order_worker", "rates", "chores", "price_converter"] {
        let mut of_program = (0, 0);
        for file in [format!("{program}.rs"), format!("bin/{program}.rs")] {
            let source = fs::read_to_string(sources.join(&file)).unwrap();
            let (counted, unmarked) = count(&source);
            assert!(unmarked.is_empty(), "not marked as plumbing: {file}: {unmarked:#?}");
            of_program.0 += counted.len();
            of_program.1 += source.lines().count();
        }
        println!("{program:16} {:3} lines of plumbing of {:3}", of_program.0, of_program.1);
        total += of_program.0;
    }
    println!("{:16} {total:3} lines of plumbing, at most {MOST}", "all");
    assert!(total <= MOST, "{total} lines of plumbing, more than {MOST}");
}

#[test]
fn paragraph_of_plumbing_ends_at_a_blank_line_or_with_its_block() {
    let source = "
        fn main() {
            // Plumbing: connects.
            let connection = carrot::connect(url)?;
            call(
                connection,
            );

            work();
            // Plumbing: ends.
            connection.close()?;
        }
        fn other() { connection.close() }
    ";
    let (counted, unmarked) = count(source);
    assert_eq!(counted, [4, 5, 6, 11]);
    assert_eq!(unmarked.len(), 1, "{unmarked:?}");
}
