//! The graph of the files of a crate: which file uses what another file defines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::modules::{Crate, Import};
use crate::syntax::Path;

/// A use of something that another file defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) line: usize,
    pub(crate) to: String,
    /// The path as written.
    pub(crate) path: String,
}

/// The uses of a crate.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// Without those inside one file; ordered by file and line.
    pub(crate) edges: BTreeSet<Edge>,
    /// Uses of an item through the root of the crate, which a module defines.
    pub(crate) through_root: BTreeSet<Edge>,
}

const ROOT: usize = 0;

/// The end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ImportTarget {
    Module(usize),
    /// An item and the module that defines it.
    Item(usize),
    /// An item of another crate.
    External,
}

impl Graph {
    /// Resolves every import and every path of a crate.
    pub(crate) fn new(tree: &Crate) -> Graph {
        let mut builder = Builder { tree, graph: Graph::default() };
        for module in 0..tree.modules.len() {
            builder.module(module);
        }
        builder.graph
    }

    /// Returns the cycles: each a set of files that reach each other, the largest first.
    pub(crate) fn cycles(&self) -> Vec<Vec<String>> {
        let next = self.successors();
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            next.keys().map(|file| (*file, reachable(&next, file))).collect();
        let mut seen = BTreeSet::new();
        let mut cycles = Vec::new();
        for (file, reached) in &reach {
            if !reached.contains(file) || seen.contains(file) {
                continue;
            }
            let cycle: Vec<&str> = reached
                .iter()
                .copied()
                .filter(|other| reach.get(other).is_some_and(|back| back.contains(file)))
                .collect();
            seen.extend(cycle.iter().copied());
            cycles.push(cycle.into_iter().map(str::to_owned).collect::<Vec<String>>());
        }
        cycles.sort_by_key(|cycle| std::cmp::Reverse(cycle.len()));
        cycles
    }

    /// Returns the shortest way round inside a cycle, as its first uses.
    pub(crate) fn shortest_way_round(&self, cycle: &[String]) -> Vec<&Edge> {
        cycle
            .iter()
            .filter_map(|start| self.way_round(cycle, start))
            .min_by_key(Vec::len)
            .unwrap_or_default()
    }

    /// Returns the first use of each pair of files inside a cycle.
    pub(crate) fn edges_inside(&self, cycle: &[String]) -> Vec<&Edge> {
        let mut pairs = BTreeSet::new();
        let is_inside = |edge: &&Edge| cycle.contains(&edge.from) && cycle.contains(&edge.to);
        self.edges
            .iter()
            .filter(is_inside)
            .filter(|edge| pairs.insert((&edge.from, &edge.to)))
            .collect()
    }

    fn way_round(&self, cycle: &[String], start: &str) -> Option<Vec<&Edge>> {
        let mut came_by: BTreeMap<&str, &Edge> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        let inside = self.edges_inside(cycle);
        while let Some(file) = queue.pop_front() {
            for edge in inside.iter().filter(|edge| edge.from == file) {
                if came_by.contains_key(edge.to.as_str()) {
                    continue;
                }
                came_by.insert(&edge.to, edge);
                if edge.to == start {
                    return Some(back_to_start(&came_by, start));
                }
                queue.push_back(&edge.to);
            }
        }
        None
    }

    fn successors(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for edge in &self.edges {
            next.entry(&edge.from).or_default().insert(&edge.to);
        }
        next
    }
}

fn back_to_start<'a>(came_by: &BTreeMap<&str, &'a Edge>, start: &str) -> Vec<&'a Edge> {
    let mut way = Vec::new();
    let mut at = start;
    loop {
        let edge = came_by[at];
        way.push(edge);
        at = &edge.from;
        if at == start {
            way.reverse();
            return way;
        }
    }
}

fn reachable<'a>(next: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut queue = vec![start];
    while let Some(file) = queue.pop() {
        for other in next.get(file).into_iter().flatten() {
            if reached.insert(*other) {
                queue.push(other);
            }
        }
    }
    reached
}

struct Builder<'a> {
    tree: &'a Crate,
    graph: Graph,
}

impl Builder<'_> {
    fn module(&mut self, module: usize) {
        let tree = self.tree;
        for import in &tree.modules[module].imports {
            if import.alias == "*" {
                self.glob(module, import);
            } else {
                self.import(module, import);
            }
        }
        for path in &tree.modules[module].paths {
            self.path(module, path);
        }
        for (name, line) in &tree.modules[module].calls_of_macros {
            self.call_of_macro(module, name, *line);
        }
    }

    fn import(&mut self, module: usize, import: &Import) {
        let segments = &import.path.segments;
        match self.resolve(module, segments, &mut Vec::new()) {
            ImportTarget::External => {}
            ImportTarget::Module(target) => {
                if !import.is_reexport && !segments.is_empty() {
                    self.use_of_module(module, target, &import.path);
                }
            }
            ImportTarget::Item(target) => {
                // A parent that passes on the items of its children does not use them,
                // unless its own code mentions them.
                let is_passed_on = import.is_reexport && self.is_below(target, module);
                let used = self.tree.modules[module].words.get(&import.alias);
                match (is_passed_on, used) {
                    (false, _) => self.edge(module, target, &import.path, import.path.line),
                    (true, Some(line)) => self.edge(module, target, &import.path, *line),
                    (true, None) => {}
                }
                self.note_root(module, target, &import.path);
            }
        }
    }

    /// Finds what a glob import brings by the names that the code mentions.
    fn glob(&mut self, module: usize, import: &Import) {
        let ImportTarget::Module(source) =
            self.resolve(module, &import.path.segments, &mut Vec::new())
        else {
            return;
        };
        for (name, line) in &self.tree.modules[module].words {
            if self.defines(module, name) {
                continue;
            }
            let target = self.lookup(source, name, true, &mut Vec::new());
            if let Some(ImportTarget::Item(target)) = target {
                let mut segments = import.path.segments.clone();
                segments.push(name.clone());
                let path = Path { segments, line: *line };
                self.edge(module, target, &path, *line);
                if !import.is_reexport {
                    self.note_root(module, target, &path);
                }
            }
        }
    }

    fn path(&mut self, module: usize, path: &Path) {
        match self.resolve(module, &path.segments, &mut Vec::new()) {
            ImportTarget::External => {}
            ImportTarget::Module(target) => self.use_of_module(module, target, path),
            ImportTarget::Item(target) => {
                self.edge(module, target, path, path.line);
                self.note_root(module, target, path);
            }
        }
    }

    /// A macro without `use` is in scope by the order of the text.
    fn call_of_macro(&mut self, module: usize, name: &str, line: usize) {
        let is_imported = self.lookup(module, name, true, &mut Vec::new()).is_some();
        if let (false, Some(target)) = (is_imported, self.tree.macros.get(name)) {
            let path = Path { segments: vec![format!("{name}!")], line };
            self.edge(module, *target, &path, line);
        }
    }

    /// A module that is a folder is used by the paths that lead through it.
    fn use_of_module(&mut self, module: usize, target: usize, path: &Path) {
        if self.tree.modules[target].children.is_empty() {
            self.edge(module, target, path, path.line);
        }
    }

    fn edge(&mut self, from: usize, to: usize, path: &Path, line: usize) {
        if let Some(edge) = self.between(from, to, path, line) {
            self.graph.edges.insert(edge);
        }
    }

    fn between(&self, from: usize, to: usize, path: &Path, line: usize) -> Option<Edge> {
        let (from, to) = (&self.tree.modules[from].file, &self.tree.modules[to].file);
        (from != to).then(|| Edge {
            from: from.clone(),
            line,
            to: to.clone(),
            path: path.segments.join("::"),
        })
    }

    /// Notes a path that names an item at the root, where it is only passed on.
    fn note_root(&mut self, module: usize, target: usize, path: &Path) {
        let mut at = module;
        let mut segments = path.segments.iter();
        let name = loop {
            match segments.next().map(String::as_str) {
                Some("crate") => at = ROOT,
                Some("self") => {}
                Some("super") => at = self.parent(at),
                Some(name) => break name,
                None => return,
            }
        };
        let starts_with_keyword =
            matches!(path.segments.first().map(String::as_str), Some("crate" | "super" | "self"));
        let root = &self.tree.modules[ROOT];
        let is_child = root.children.contains_key(name)
            && path.segments.last().is_none_or(|last| last != name);
        let is_exported_macro = self.tree.modules[target].items.get(name) == Some(&true);
        if !starts_with_keyword || at != ROOT || module == ROOT || is_child || is_exported_macro {
            return;
        }
        if let Some(edge) = self.between(module, target, path, path.line)
            && self.tree.modules[target].file != root.file
        {
            self.graph.through_root.insert(edge);
        }
    }

    fn parent(&self, module: usize) -> usize {
        self.tree.modules[module].parent.unwrap_or(ROOT)
    }

    fn is_below(&self, module: usize, ancestor: usize) -> bool {
        let mut at = Some(module);
        while let Some(module) = at {
            if module == ancestor {
                return true;
            }
            at = self.tree.modules[module].parent;
        }
        false
    }

    fn defines(&self, module: usize, name: &str) -> bool {
        let module = &self.tree.modules[module];
        module.items.contains_key(name) || module.imports.iter().any(|import| import.alias == name)
    }

    /// Follows a path from a module. A name that cannot be found stands for an item of the last
    /// module on the way, because a macro may define it.
    fn resolve(
        &self,
        module: usize,
        segments: &[String],
        seen: &mut Vec<(usize, String, bool)>,
    ) -> ImportTarget {
        let mut at = module;
        for (index, segment) in segments.iter().enumerate() {
            let is_last = index + 1 == segments.len();
            match segment.as_str() {
                "crate" => at = ROOT,
                "self" => {}
                "super" => at = self.parent(at),
                name => match self.lookup(at, name, is_last, seen) {
                    Some(ImportTarget::Module(child)) => at = child,
                    Some(found) => return found,
                    None if index == 0 => return ImportTarget::External,
                    None => return self.exported_macro(at, name).unwrap_or(ImportTarget::Item(at)),
                },
            }
        }
        ImportTarget::Module(at)
    }

    fn exported_macro(&self, module: usize, name: &str) -> Option<ImportTarget> {
        let definer = *self.tree.macros.get(name)?;
        let is_exported = self.tree.modules[definer].items.get(name) == Some(&true);
        (module == ROOT && is_exported).then_some(ImportTarget::Item(definer))
    }

    /// Finds a name in a module. Inside a path, a module goes before an item of that name; at the
    /// end of a path, an item goes before a module.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        is_last: bool,
        seen: &mut Vec<(usize, String, bool)>,
    ) -> Option<ImportTarget> {
        let place = (module, name.to_owned(), is_last);
        if seen.contains(&place) {
            return None;
        }
        seen.push(place);
        let scope = &self.tree.modules[module];
        let child = scope.children.get(name).map(|child| ImportTarget::Module(*child));
        if child.is_some() && !is_last {
            return child;
        }
        if scope.items.get(name) == Some(&false) || (scope.items.contains_key(name) && is_last) {
            return Some(ImportTarget::Item(module));
        }
        let imported = scope.imports.iter().filter(|import| import.alias == name);
        let mut fallback = child;
        for import in imported {
            match self.resolve(module, &import.path.segments, seen) {
                ImportTarget::Module(target) if is_last => {
                    fallback = fallback.or(Some(ImportTarget::Module(target)))
                }
                // `use a::a` names a function and a module at once.
                ImportTarget::Item(_)
                    if !is_last
                        && self.module_at(module, &import.path.segments, seen).is_some() =>
                {
                    return self.module_at(module, &import.path.segments, seen);
                }
                found => return Some(found),
            }
        }
        fallback.or_else(|| self.lookup_in_globs(module, name, is_last, seen))
    }

    /// Resolves a path as one to a module, even if an item has the same name.
    fn module_at(
        &self,
        module: usize,
        segments: &[String],
        seen: &mut Vec<(usize, String, bool)>,
    ) -> Option<ImportTarget> {
        let (last, parents) = segments.split_last()?;
        match self.resolve(module, parents, seen) {
            ImportTarget::Module(parent) if !parents.is_empty() => self.tree.modules[parent]
                .children
                .get(last)
                .map(|child| ImportTarget::Module(*child)),
            _ => None,
        }
    }

    fn lookup_in_globs(
        &self,
        module: usize,
        name: &str,
        is_last: bool,
        seen: &mut Vec<(usize, String, bool)>,
    ) -> Option<ImportTarget> {
        let globs = self.tree.modules[module].imports.iter().filter(|import| import.alias == "*");
        for glob in globs {
            if let ImportTarget::Module(source) = self.resolve(module, &glob.path.segments, seen)
                && let Some(found) = self.lookup(source, name, is_last, seen)
            {
                return Some(found);
            }
        }
        None
    }
}
#[cfg(test)]
mod tests;
