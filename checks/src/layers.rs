//! The declared layers of each crate, and the rules that a graph of files has to keep.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::graph::{Edge, Graph};
use crate::modules::Crate;

/// The declaration of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No cycle of files, imports follow the layers, and imports name the module.
    Layers(Layers),
    /// No cycle of files.
    CyclesOnly,
    /// Nothing is checked, for this reason.
    LeftOut(String),
}

/// The layers of a crate, the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    layers: Vec<Layer>,
    /// Modules below every layer: everything imports them, and they import one another at most.
    support: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Layer {
    modules: Vec<String>,
    /// Whether the modules of this layer import one another.
    see_each_other: bool,
}

/// Reads a table of one line for each crate: `name: a, b <- c | d <- lib`, `name support: e, f`,
/// `name: cycles only` or `name: left out: reason`. Lines that start with `#` are comments.
pub(crate) fn parse(table: &str) -> Result<BTreeMap<String, Rule>, String> {
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    let lines = table
        .lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    for (index, line) in lines {
        let number = index + 1;
        let (name, declared) =
            line.split_once(':').ok_or_else(|| format!("line {number}: no colon: {line}"))?;
        let declared = declared.trim();
        if let Some(name) = name.strip_suffix(" support") {
            match rules.get_mut(name) {
                Some(Rule::Layers(layers)) => layers
                    .support
                    .extend(declared.split(',').map(|module| module.trim().to_owned())),
                _ => {
                    return Err(format!(
                        "line {number}: the layers of {name} have to stand before its support modules"
                    ));
                }
            }
            continue;
        }
        let rule = match declared.strip_prefix("left out:") {
            Some(reason) => Rule::LeftOut(reason.trim().to_owned()),
            None if declared == "cycles only" => Rule::CyclesOnly,
            None => Rule::Layers(Layers {
                layers: declared.split("<-").map(Layer::parse).collect(),
                support: Vec::new(),
            }),
        };
        if rules.insert(name.to_owned(), rule).is_some() {
            return Err(format!("line {number}: {name} is declared twice"));
        }
    }
    Ok(rules)
}

impl Layer {
    fn parse(text: &str) -> Layer {
        let modules = text.split([',', '|']).map(|module| module.trim().to_owned()).collect();
        Layer { modules, see_each_other: !text.contains('|') }
    }
}

/// Where a module stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Height {
    Support,
    Layer(usize),
}

impl Layers {
    fn modules(&self) -> impl Iterator<Item = &str> {
        let layered = self.layers.iter().flat_map(|layer| &layer.modules);
        layered.chain(&self.support).map(String::as_str)
    }

    fn height(&self, module: &str) -> Option<Height> {
        if self.support.iter().any(|support| support == module) {
            return Some(Height::Support);
        }
        let index =
            self.layers.iter().position(|layer| layer.modules.iter().any(|name| name == module))?;
        Some(Height::Layer(index))
    }

    /// Returns what is wrong with a use of `to` by `from`, if anything.
    fn objection(&self, from: &str, to: &str) -> Option<&'static str> {
        if from == to {
            return None;
        }
        let (from, to) = (self.height(from)?, self.height(to)?);
        match (from, to) {
            _ if from < to => Some("upward"),
            (Height::Layer(a), Height::Layer(b)) if a == b && !self.layers[a].see_each_other => {
                Some("sideways")
            }
            _ => None,
        }
    }
}

/// Returns the module at the top of a crate to which a file belongs. The root belongs to `lib`.
fn top(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    match first.trim_end_matches(".rs") {
        "main" => "lib",
        name => name,
    }
}

/// The failures of a check, as text and as a number.
#[derive(Debug, Default)]
pub(crate) struct LayerReport {
    pub(crate) text: String,
    pub(crate) failures: usize,
}

impl LayerReport {
    /// Adds a failure and its explanation.
    pub(crate) fn fail(&mut self, text: &str) {
        self.failures += 1;
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }
}

/// Checks the files of a crate against its rule.
pub(crate) fn check(name: &str, tree: &Crate, rule: &Rule) -> LayerReport {
    let mut report = LayerReport::default();
    if let Rule::LeftOut(_) = rule {
        return report;
    }
    for file in &tree.missing {
        report.fail(&format!("{name}: {file} is declared as a module, and there is no such file"));
    }
    let graph = Graph::new(tree);
    for cycle in graph.cycles() {
        report.fail(&describe_cycle(name, &graph, &cycle));
    }
    if let Rule::Layers(layers) = rule {
        check_layers(name, tree, &graph, layers, &mut report);
    }
    report
}

fn check_layers(
    name: &str,
    tree: &Crate,
    graph: &Graph,
    layers: &Layers,
    report: &mut LayerReport,
) {
    let mut unknown: Vec<&str> = tree
        .modules
        .iter()
        .map(|module| top(&module.file))
        .filter(|top| layers.height(top).is_none())
        .collect();
    unknown.sort_unstable();
    unknown.dedup();
    for module in unknown {
        report.fail(&format!(
            "{name}: module {module} stands in no layer: add it to checks/layers.txt"
        ));
    }
    for module in layers
        .modules()
        .filter(|module| !tree.modules.iter().any(|known| top(&known.file) == *module))
    {
        report.fail(&format!(
            "{name}: module {module} does not exist: remove it from checks/layers.txt"
        ));
    }
    for edge in &graph.edges {
        if let Some(objection) = layers.objection(top(&edge.from), top(&edge.to)) {
            report.fail(&format!("{name}: {objection} import: {}", describe(edge)));
        }
    }
    for edge in &graph.through_root {
        report
            .fail(&format!("{name}: import through the root, name the module: {}", describe(edge)));
    }
}

fn describe_cycle(name: &str, graph: &Graph, cycle: &[String]) -> String {
    let mut text = format!("{name}: cycle of {} files: {}\n", cycle.len(), cycle.join(", "));
    let shortest = graph.shortest_way_round(cycle);
    let inside = graph.edges_inside(cycle);
    let _ = writeln!(text, "  shortest way round:");
    for edge in &shortest {
        let _ = writeln!(text, "    {}", describe(edge));
    }
    let others: Vec<_> = inside.iter().filter(|edge| !shortest.contains(edge)).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "  other imports inside the cycle:");
    }
    for edge in others {
        let _ = writeln!(text, "    {}", describe(edge));
    }
    text
}

fn describe(edge: &Edge) -> String {
    format!("{}:{} -> {} ({})", edge.from, edge.line, edge.to, edge.path)
}

/// Prints the graph of a crate: each file and, for each file that it uses, the first path.
pub(crate) fn print_graph(tree: &Crate) -> String {
    let graph = Graph::new(tree);
    let mut first: BTreeMap<(&str, &str), &Edge> = BTreeMap::new();
    for edge in &graph.edges {
        first.entry((&edge.from, &edge.to)).or_insert(edge);
    }
    let mut files: Vec<&str> = tree.modules.iter().map(|module| module.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "{file}");
        for edge in first.iter().filter(|((from, _), _)| *from == file).map(|(_, edge)| edge) {
            let _ = writeln!(text, "    -> {:<32} {}:{}", edge.to, edge.path, edge.line);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::modules;

    const TABLE: &str = "# comment\nmade: low, other <- left | right <- lib\nmade support: help\nplain: cycles only\nold: left out: later";

    fn failures(files: &[(&str, &str)]) -> Vec<String> {
        let sources =
            files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let tree = modules::read(&sources);
        let report = check("made", &tree, &parse(TABLE).unwrap()["made"]);
        assert_eq!(
            report.failures,
            report.text.lines().filter(|line| line.starts_with("made: ")).count()
        );
        let lines = report.text.lines().filter(|line| {
            line.starts_with("made: ") && !line.contains("module other does not exist")
        });
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn declared_module_that_does_not_exist_is_refused() {
        let failures = failures(&[("lib.rs", "mod low; mod left; mod right;"), LOW, LEFT, RIGHT]);
        assert_eq!(
            failures,
            ["made: module help does not exist: remove it from checks/layers.txt"]
        );
    }

    const ROOT: (&str, &str) =
        ("lib.rs", "mod low; mod left; mod right; mod help; pub use low::Low; pub use left::Left;");
    const LOW: (&str, &str) = ("low.rs", "pub struct Low;");
    const LEFT: (&str, &str) = ("left.rs", "pub struct Left;");
    const RIGHT: (&str, &str) = ("right.rs", "pub struct Right;");
    const HELP: (&str, &str) = ("help.rs", "pub struct Help;");

    #[test]
    fn downward_imports_are_accepted() {
        let left = ("left.rs", "use crate::low::Low; use crate::help::Help; pub struct Left;");
        assert_eq!(failures(&[ROOT, LOW, left, RIGHT, HELP]), Vec::<String>::new());
    }

    #[test]
    fn upward_import_is_refused() {
        let low = ("low.rs", "use crate::left::Left; pub struct Low;");
        assert_eq!(
            failures(&[ROOT, low, LEFT, RIGHT, HELP]),
            ["made: upward import: low.rs:1 -> left.rs (crate::left::Left)"]
        );
    }

    #[test]
    fn upward_import_through_root_is_refused_twice() {
        let low = ("low.rs", "use super::Left; pub struct Low;");
        assert_eq!(
            failures(&[ROOT, low, LEFT, RIGHT, HELP]),
            [
                "made: upward import: low.rs:1 -> left.rs (super::Left)",
                "made: import through the root, name the module: low.rs:1 -> left.rs (super::Left)"
            ]
        );
    }

    #[test]
    fn sideways_import_is_refused() {
        let left = ("left/mod.rs", "mod deep; pub struct Left;");
        let deep = ("left/deep.rs", "use crate::right::Right;");
        assert_eq!(
            failures(&[ROOT, LOW, left, deep, RIGHT, HELP]),
            ["made: sideways import: left/deep.rs:1 -> right.rs (crate::right::Right)"]
        );
    }

    #[test]
    fn neighbours_of_a_shared_layer_see_each_other() {
        let root = ("lib.rs", "mod low; mod other; mod left; mod right; mod help;");
        let low = ("low.rs", "use crate::other::Other;");
        assert_eq!(
            failures(&[root, low, ("other.rs", "pub struct Other;"), LEFT, RIGHT, HELP]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn support_module_that_imports_a_layer_is_refused() {
        let help = ("help.rs", "use crate::low::Low;");
        assert_eq!(
            failures(&[ROOT, LOW, LEFT, RIGHT, help]),
            ["made: upward import: help.rs:1 -> low.rs (crate::low::Low)"]
        );
    }

    #[test]
    fn module_without_layer_is_refused() {
        let root = ("lib.rs", "mod low; mod strange; mod left; mod right; mod help;");
        let strange = ("strange/mod.rs", "");
        assert_eq!(
            failures(&[root, LOW, strange, LEFT, RIGHT, HELP]),
            ["made: module strange stands in no layer: add it to checks/layers.txt"]
        );
    }

    #[test]
    fn use_of_the_root_itself_is_upward() {
        let root = ("lib.rs", "mod low; mod left; mod right; mod help; pub const LIMIT: u8 = 1;");
        let low = ("low.rs", "fn f() -> u8 { crate::LIMIT }");
        assert_eq!(
            failures(&[root, low, LEFT, RIGHT, HELP]),
            ["made: upward import: low.rs:1 -> lib.rs (crate::LIMIT)"]
        );
    }

    #[test]
    fn table_with_a_mistake_is_refused() {
        assert!(parse("a support: b").unwrap_err().contains("before its support modules"));
        assert!(parse("a: cycles only\na: b <- lib").unwrap_err().contains("twice"));
        assert!(parse("no colon here").unwrap_err().contains("line 1"));
    }

    #[test]
    fn table_of_the_workspace_is_sound() {
        let rules = parse(include_str!("../layers.txt")).unwrap();
        assert!(matches!(rules["carrot-core"], Rule::Layers(_)));
    }
}
