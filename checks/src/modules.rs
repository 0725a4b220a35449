//! Reads the modules of a crate from its sources: items, imports and paths, without tests.

use std::collections::BTreeMap;

use crate::attributes::{Attribute, Attributes};
use crate::lexer::{self, Kind, Token};
use crate::syntax::{Path, after_item, after_visibility, closing, starts_use, use_tree};

/// The sources of a crate: a path below `src/` and the text of that file.
pub(crate) type Sources = BTreeMap<String, String>;

/// The modules of a crate. The root is the first.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
    /// Every `macro_rules!` by its name, with the module that defines it.
    pub(crate) macros: BTreeMap<String, usize>,
    /// Every type that stands directly in a module.
    pub(crate) types: Vec<Definition>,
    /// Modules that are declared and have no file.
    pub(crate) missing: Vec<String>,
}

/// A struct, enum, union or trait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// The names of items that are defined here. True stands for a macro that `#[macro_export]`
    /// puts at the root.
    pub(crate) items: BTreeMap<String, bool>,
    pub(crate) imports: Vec<Import>,
    /// Paths of two segments and more, outside `use`.
    pub(crate) paths: Vec<Path>,
    /// Names that the code mentions outside `use`, each with the first line.
    pub(crate) words: BTreeMap<String, usize>,
    /// Names of macros that the code calls, each with the first line.
    pub(crate) calls_of_macros: BTreeMap<String, usize>,
}

/// One leaf of a `use` declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Path,
    /// The name in scope; `*` for a glob.
    pub(crate) alias: String,
    pub(crate) is_reexport: bool,
}

/// Reads a crate whose root is `lib.rs`, or `main.rs` where there is no library.
pub(crate) fn read(sources: &Sources) -> Crate {
    let mut reader = Reader { sources, tree: Crate::default() };
    let root = if sources.contains_key("lib.rs") { "lib.rs" } else { "main.rs" };
    reader.tree.modules.push(Module { file: root.to_owned(), ..Module::default() });
    reader.file(0, root, &folder_of_children(root));
    reader.tree
}

struct Reader<'a> {
    sources: &'a Sources,
    tree: Crate,
}

/// The place in which a piece of code stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    module: usize,
    file: &'a str,
    /// The folder in which the files of child modules lie, with a slash at its end unless it is
    /// empty.
    folder: &'a str,
    is_macro_body: bool,
}

impl Reader<'_> {
    fn file(&mut self, module: usize, file: &str, folder: &str) {
        match self.sources.get(file) {
            Some(text) => {
                let tokens = lexer::tokens(text);
                self.code(Place { module, file, folder, is_macro_body: false }, &tokens);
            }
            None => self.tree.missing.push(file.to_owned()),
        }
    }

    fn code(&mut self, place: Place<'_>, tokens: &[Token]) {
        let mut at = 0;
        let mut depth = 0_usize;
        let mut before = Attributes::default();
        while at < tokens.len() {
            if let Some(attribute) = Attribute::at(tokens, at) {
                if !attribute.is_inner {
                    before.read(attribute.body);
                } else if depth == 0 && Attributes::of(attribute.body).is_test {
                    return;
                }
                at = attribute.end;
            } else if before.is_test {
                at = after_item(tokens, at);
                before = Attributes::default();
            } else if tokens[at].word() == Some("pub") {
                before.is_public = true;
                at = after_visibility(tokens, at);
            } else {
                match &tokens[at].kind {
                    Kind::Mark('{') => depth += 1,
                    Kind::Mark('}') => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at = self.token(place, tokens, at, depth == 0, &before);
                before = Attributes::default();
            }
        }
    }

    /// Reads the item or the path that starts at `at`. Returns the place behind it.
    fn token(
        &mut self,
        place: Place<'_>,
        tokens: &[Token],
        at: usize,
        is_outside: bool,
        before: &Attributes,
    ) -> usize {
        let is_module_level = is_outside && !place.is_macro_body;
        match tokens[at].word() {
            Some("use") if starts_use(tokens, at) => {
                self.import(place, tokens, at, before.is_public)
            }
            Some("mod") if is_module_level => self.module(place, tokens, at, before),
            Some("macro_rules") if tokens.get(at + 1).is_some_and(|token| token.is('!')) => {
                self.macro_definition(place, tokens, at, before)
            }
            Some(word) => {
                if is_module_level {
                    self.item(place, word, tokens, at);
                }
                self.mention(place, tokens, at)
            }
            None => at + 1,
        }
    }

    fn module_mut(&mut self, place: Place<'_>) -> &mut Module {
        &mut self.tree.modules[place.module]
    }

    fn import(
        &mut self,
        place: Place<'_>,
        tokens: &[Token],
        at: usize,
        is_reexport: bool,
    ) -> usize {
        let mut leaves = Vec::new();
        let mut end = at + 1;
        let is_external = tokens.get(end).is_some_and(|token| token.kind == Kind::PathSeparator);
        if is_external {
            end += 1;
        }
        use_tree(tokens, &mut end, &[], &mut leaves);
        if !is_external {
            let is_of_caller = |path: &Path| {
                place.is_macro_body && path.segments.first().is_none_or(|first| first != "crate")
            };
            let leaves = leaves.into_iter().filter(|(path, _)| !is_of_caller(path));
            self.module_mut(place).imports.extend(leaves.map(|(path, alias)| Import {
                path,
                alias,
                is_reexport,
            }));
        }
        end
    }

    fn module(
        &mut self,
        place: Place<'_>,
        tokens: &[Token],
        at: usize,
        attributes: &Attributes,
    ) -> usize {
        let (Some(name), Some(after)) =
            (tokens.get(at + 1).and_then(Token::word), tokens.get(at + 2))
        else {
            return at + 1;
        };
        let child = self.tree.modules.len();
        let folder = format!("{}{name}/", place.folder);
        if after.is('{') {
            let close = closing(tokens, at + 2);
            self.add_child(place, name, place.file);
            let inner = Place { module: child, folder: &folder, ..place };
            self.code(inner, &tokens[at + 3..close.min(tokens.len())]);
            return close + 1;
        }
        if !after.is(';') {
            return at + 1;
        }
        let file = match &attributes.path {
            Some(path) => join(folder_of(place.file), path),
            None if self.sources.contains_key(&format!("{folder}mod.rs")) => {
                format!("{folder}mod.rs")
            }
            None => format!("{}{name}.rs", place.folder),
        };
        self.add_child(place, name, &file);
        let folder = if attributes.path.is_some() { folder_of(&file).to_owned() } else { folder };
        self.file(child, &file, &folder);
        at + 3
    }

    fn add_child(&mut self, place: Place<'_>, name: &str, file: &str) {
        let child = self.tree.modules.len();
        self.tree.modules.push(Module {
            file: file.to_owned(),
            parent: Some(place.module),
            ..Module::default()
        });
        // A name that is declared twice stands for the same module on several platforms.
        self.module_mut(place).children.entry(name.to_owned()).or_insert(child);
    }

    fn macro_definition(
        &mut self,
        place: Place<'_>,
        tokens: &[Token],
        at: usize,
        attributes: &Attributes,
    ) -> usize {
        let Some(name) = tokens.get(at + 2).and_then(Token::word) else { return at + 1 };
        self.tree.macros.insert(name.to_owned(), place.module);
        self.module_mut(place).items.insert(name.to_owned(), attributes.is_exported_macro);
        let open = at + 3;
        let close = closing(tokens, open);
        self.code(
            Place { is_macro_body: true, ..place },
            &tokens[(open + 1).min(tokens.len())..close.min(tokens.len())],
        );
        close + 1
    }

    fn item(&mut self, place: Place<'_>, keyword: &str, tokens: &[Token], at: usize) {
        let Some(name) = tokens.get(at + 1).and_then(Token::word) else { return };
        let is_type = match keyword {
            "struct" | "enum" | "trait" => true,
            "union" => tokens.get(at + 2).is_some_and(|token| token.is('{') || token.is('<')),
            "type" | "fn" | "static" | "const" => false,
            _ => return,
        };
        if keyword == "union" && !is_type {
            return;
        }
        if is_type {
            let definition = Definition {
                name: name.to_owned(),
                file: place.file.to_owned(),
                line: tokens[at].line,
            };
            self.tree.types.push(definition);
        }
        self.module_mut(place).items.entry(name.to_owned()).or_insert(false);
    }

    /// Records a name or a path that the code mentions. Returns the place behind it.
    fn mention(&mut self, place: Place<'_>, tokens: &[Token], at: usize) -> usize {
        let previous = at.checked_sub(1).map(|at| &tokens[at]);
        let mut segments = Vec::new();
        let mut end = at;
        while let Some(word) = tokens.get(end).and_then(Token::word) {
            segments.push(word.to_owned());
            end += 1;
            if tokens.get(end).is_none_or(|token| token.kind != Kind::PathSeparator) {
                break;
            }
            end += 1;
        }
        let Some(first) = segments.first().cloned() else { return at + 1 };
        let is_continued =
            previous.is_some_and(|token| token.is('.') || token.kind == Kind::PathSeparator);
        let is_variable = previous.is_some_and(|token| token.is('$')) && first != "crate";
        let is_of_caller = place.is_macro_body && matches!(first.as_str(), "super" | "self");
        if is_continued || is_variable || is_of_caller {
            return end;
        }
        let is_definition = previous.and_then(Token::word) == Some("fn");
        let next = tokens.get(end);
        let is_macro = next.is_some_and(|token| token.is('!'))
            && tokens.get(end + 1).is_some_and(|token| !token.is('='));
        // A field or a variable in small letters is no use of a function of that name.
        let is_name = first.starts_with(char::is_uppercase)
            || is_macro
            || next.is_some_and(|token| token.is('('));
        let line = tokens[at].line;
        let module = self.module_mut(place);
        if segments.len() > 1 {
            module.paths.push(Path { segments, line });
        } else if is_macro {
            module.calls_of_macros.entry(first.clone()).or_insert(line);
        }
        if is_name && !is_definition {
            module.words.entry(first).or_insert(line);
        }
        end
    }
}

fn folder_of(file: &str) -> &str {
    file.rfind('/').map_or("", |slash| &file[..=slash])
}

/// Returns the folder in which the modules that `file` declares lie.
fn folder_of_children(file: &str) -> String {
    match file.rsplit('/').next() {
        Some("lib.rs" | "main.rs" | "mod.rs") => folder_of(file).to_owned(),
        _ => format!("{}/", file.trim_end_matches(".rs")),
    }
}

/// Joins a folder and a path, in which `..` may stand.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
