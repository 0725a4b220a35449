//! The page docs/command.md agrees with the command.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, TestBroker, command, run};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/command.md");
    std::fs::read_to_string(path).unwrap()
}

/// Returns the blocks of code below a heading, or of the whole page.
fn blocks(page: &str, heading: Option<&str>) -> Vec<Vec<String>> {
    let section = match heading {
        Some(heading) => {
            let start = page.find(&format!("\n## {heading}\n")).expect(heading) + 1;
            let end = page[start..].find("\n## ").map_or(page.len(), |end| start + end);
            &page[start..end]
        }
        None => page,
    };
    let code = section.split("\n```").skip(1).step_by(2);
    code.map(|block| block.lines().skip(1).map(str::to_string).collect()).collect()
}

/// Returns the words of each `carrot` in a line, without the quotes of the shell, and without a
/// program that it starts.
fn commands(line: &str) -> Vec<Vec<String>> {
    let (mut words, mut word, mut is_quoted, mut has_word) =
        (Vec::new(), String::new(), false, false);
    for character in line.chars().chain([' ']) {
        match character {
            '\'' => (is_quoted, has_word) = (!is_quoted, true),
            ' ' if !is_quoted => {
                if has_word {
                    words.push(std::mem::take(&mut word));
                }
                has_word = false;
            }
            _ => {
                word.push(character);
                has_word = true;
            }
        }
    }
    let parts = words
        .split(|word| word == "|")
        .filter(|part| part.first().is_some_and(|word| word == "carrot"));
    let ends = |word: &String| matches!(&**word, "--" | ">" | "#" | "<");
    parts.map(|part| part[1..].iter().take_while(|word| !ends(word)).cloned().collect()).collect()
}

fn help(arguments: &[String]) -> Ran {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--help"]).collect();
    run(command(&arguments), "")
}

#[test]
fn page_has_only_commands_that_are_accepted() {
    let page = page();
    let mut accepted = BTreeSet::new();
    for line in blocks(&page, None).iter().flatten() {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        // Other lines are output.
        for arguments in commands(line) {
            let ran = help(&arguments);
            assert_eq!(ran.code, 0, "{line}: {ran:?}");
            accepted.insert(arguments[0].clone());
        }
    }
    assert!(help(&["publish".into(), "--no-such".into()]).code == 2);
    let listed = help(&[]).output;
    let (_, listed) = listed.split_once("Commands:\n").unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()) {
        let named = accepted.contains(name) || page.contains(&format!("`{name}`"));
        assert!(named || name == "help", "the page does not have {name}");
    }
}

#[test]
fn page_has_only_options_that_exist() {
    let page = page();
    let mut helps = String::new();
    let of_topology = ["topology export", "topology check", "declare queue", "declare exchange"];
    let listed = help(&[]).output;
    let (_, names) = listed.split_once("Commands:\n").unwrap();
    let names = names.split("\n\n").next().unwrap().lines();
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for name in names.chain(of_topology) {
        let words: Vec<String> = name.split(' ').map(str::to_string).collect();
        helps += &help(&words).output;
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let of_carrot = page.lines().filter(|line| !line.starts_with("cargo "));
    let words = of_carrot.flat_map(|line| line.split(|character| !is_part(character)));
    let options: BTreeSet<_> = words
        .filter(|word| word.starts_with("--") && word.len() > 2 && !word.ends_with('-'))
        .collect();
    assert!(options.len() > 30, "{options:?}");
    let exist: BTreeSet<_> = helps.split(|character| !is_part(character)).collect();
    let missing: Vec<_> = options.difference(&exist).collect();
    assert!(missing.is_empty(), "no command has {missing:?}");
}

#[test]
fn page_has_the_exit_codes_of_the_help() {
    let page = page();
    let row = |line: &str| -> Option<(String, String)> {
        let (code, meaning) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        code.parse::<u8>().ok()?;
        Some((code.into(), meaning.into()))
    };
    let table: Vec<_> = page.lines().filter_map(row).collect();
    let help = help(&[]).output;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let of_help = codes.lines().map(|line| {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let meaning = meaning.trim().split(';').next().unwrap();
        (code.to_string(), meaning.to_string())
    });
    assert_eq!(table, of_help.collect::<Vec<_>>());
}

/// A shell in a folder of its own, whose broker is that of the page.
struct PageShell {
    folder: tempfile::TempDir,
    broker: TestBroker,
    other: TestBroker,
}

impl PageShell {
    fn start() -> PageShell {
        let folder = tempfile::tempdir().unwrap();
        let shell = PageShell {
            folder,
            broker: TestBroker::hosted("amqp"),
            other: TestBroker::hosted("zeromq"),
        };
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_carrot"), shell.path("carrot")).unwrap();
        shell
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a line, and returns both outputs.
    fn run(&self, line: &str) -> Vec<String> {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let line = line.replace("amqp://other", &self.other.url);
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).args(["-c", &format!("{{ {line}\n}} 2>&1")]);
        shell.env("PATH", path).env("CARROT_URL", &self.broker.url);
        let ran = run(shell, "");
        ran.output.lines().map(masked).collect()
    }

    /// Runs the commands of a block, whose output has to be that of the page.
    fn check(&self, block: &[String]) {
        let mut lines = block.iter().peekable();
        while let Some(line) = lines.next() {
            let command = line.strip_prefix("$ ").expect(line);
            let mut expected = Vec::new();
            while let Some(output) = lines.next_if(|line| !line.starts_with("$ ")) {
                expected.push(masked(output));
            }
            assert_eq!(self.run(command), expected, "{command}");
        }
    }
}

/// Replaces what is different in each run.
fn masked(line: &str) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let mut masked = line.trim_end().replace("vhost '/'", "vhost 'shop'");
    for word in line.split(|character| !is_part(character)).filter(|word| word.len() == 22) {
        masked = masked.replace(word, "ID");
    }
    masked
}

#[test]
fn page_shows_what_the_commands_print() {
    let (page, shell) = (page(), PageShell::start());
    let broker = &shell.broker;
    broker.ok(&["declare", "queue", "jobs.dead"]);
    let dead = ["x-dead-letter-exchange=", "x-dead-letter-routing-key=jobs.dead"];
    broker.ok(&["declare", "queue", "work", "--argument", dead[0], "--argument", dead[1]]);
    for block in blocks(&page, Some("Publish and consume")) {
        shell.check(&block);
    }
    broker.wait_for_ready("jobs.dead", 1);
    broker.ok(&["publish", "-q", "jobs", "resize 7.png"]);
    shell.other.ok(&["declare", "queue", "jobs"]);
    for block in blocks(&page, Some("Copy messages to another broker")) {
        shell.check(&block);
    }
    assert_eq!(shell.other.ready("jobs"), 1);
    for block in blocks(&page, Some("Move dead letters back")) {
        shell.check(&block);
    }
    assert_eq!((broker.ready("work"), broker.ready("jobs.dead")), (1, 0));
    let topology = blocks(&page, Some("Declare and compare a topology"));
    let file = topology[0].split(|line| line == "$ cat shop.toml").nth(1).unwrap();
    std::fs::write(shell.path("shop.toml"), file.join("\n")).unwrap();
    assert_eq!(shell.run("carrot topology apply shop.toml"), [""; 0]);
    shell.check(&topology[1]);
}
