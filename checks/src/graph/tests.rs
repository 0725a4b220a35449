#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::modules::{self, Sources};

fn graph(files: &[(&str, &str)]) -> Graph {
    let sources: Sources =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    let tree = modules::read(&sources);
    assert_eq!(tree.missing, Vec::<String>::new());
    Graph::new(&tree)
}

fn pairs(graph: &Graph) -> Vec<String> {
    let pairs: BTreeSet<String> =
        graph.edges.iter().map(|edge| format!("{} -> {}", edge.from, edge.to)).collect();
    pairs.into_iter().collect()
}

const A_AND_B: (&str, &str) = ("lib.rs", "mod a; mod b;");

#[test]
fn import_gives_edge_to_defining_file() {
    let graph = graph(&[A_AND_B, ("a.rs", "pub struct A;"), ("b.rs", "\nuse crate::a::A;")]);
    let edge = graph.edges.first().unwrap();
    assert_eq!(
        (edge.from.as_str(), edge.line, edge.to.as_str(), edge.path.as_str()),
        ("b.rs", 2, "a.rs", "crate::a::A")
    );
    assert!(graph.cycles().is_empty());
}

#[test]
fn cycle_of_two_files_is_found() {
    let graph = graph(&[
        A_AND_B,
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ]);
    assert_eq!(graph.cycles(), [["a.rs", "b.rs"]]);
    assert_eq!(graph.shortest_way_round(&graph.cycles()[0]).len(), 2);
}

#[test]
fn cycle_behind_root_reexport_is_found() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
        ("a.rs", "use crate::B; pub struct A;"),
        ("b.rs", "use crate::{A}; pub struct B;"),
    ]);
    assert_eq!(graph.cycles(), [["a.rs", "b.rs"]]);
    assert_eq!(graph.through_root.len(), 2);
}

#[test]
fn cycle_behind_folder_reexport_is_found() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b;"),
        ("a/mod.rs", "mod inner; pub use inner::Inner as Renamed;"),
        ("a/inner.rs", "use crate::b::B; pub struct Inner;"),
        ("b.rs", "use crate::a::Renamed; pub struct B;"),
    ]);
    assert_eq!(graph.cycles(), [["a/inner.rs", "b.rs"]]);
    assert!(graph.through_root.is_empty());
}

#[test]
fn passing_on_is_no_use_but_own_code_is() {
    let child = ("a/inner.rs", "use super::Outer; pub struct Inner; pub fn make() {}");
    let passing = graph(&[
        ("lib.rs", "mod a;"),
        ("a.rs", "mod inner; pub use inner::{Inner, make}; pub struct Outer;"),
        child,
    ]);
    assert!(passing.cycles().is_empty(), "{:?}", passing.edges);
    let parent = ("a.rs", "mod inner; pub use inner::{Inner, make}; pub struct Outer(Inner);");
    let using = graph(&[("lib.rs", "mod a;"), parent, child]);
    assert_eq!(using.cycles(), [["a.rs", "a/inner.rs"]]);
    let parent = (
        "a.rs",
        "mod inner; pub use inner::{Inner, make}; pub struct Outer; fn f() { inner::make() }",
    );
    assert_eq!(graph(&[("lib.rs", "mod a;"), parent, child]).cycles().len(), 1);
}

#[test]
fn passing_on_what_is_no_child_is_a_use() {
    let graph = graph(&[A_AND_B, ("a.rs", "pub use crate::b::B;"), ("b.rs", "pub struct B;")]);
    assert_eq!(pairs(&graph), ["a.rs -> b.rs"]);
}

#[test]
fn grouped_nested_and_renamed_imports_are_read() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a/mod.rs", "pub mod x; pub mod y;"),
        ("a/x.rs", "pub struct X; pub fn f() {}"),
        ("a/y.rs", "pub const Y: u8 = 1;"),
        (
            "b.rs",
            "use crate::{a::{x::{self, X as Renamed}, y}, c::C as _}; use std::{fmt, io::{self}};",
        ),
        ("c.rs", "pub trait C {}"),
        ("d.rs", "use crate::a as other; fn f() { other::y::Y; }"),
    ]);
    assert_eq!(
        pairs(&graph),
        ["b.rs -> a/x.rs", "b.rs -> a/y.rs", "b.rs -> c.rs", "d.rs -> a/y.rs"]
    );
}

#[test]
fn inline_paths_and_function_imports_are_read() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "pub fn f() {} pub fn g<T>() {}"),
        ("b.rs", "fn f() { if true { crate::a::f(); } }"),
        ("c.rs", "fn f() { use crate::a::f; f() }"),
        ("d.rs", "type T = Vec<super::b::B>; fn f() { (super::a::g::<u8>()) }"),
    ]);
    assert_eq!(pairs(&graph), ["b.rs -> a.rs", "c.rs -> a.rs", "d.rs -> a.rs", "d.rs -> b.rs"]);
}

#[test]
fn tests_comments_and_texts_are_no_use() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests; #[cfg(all(test, unix))] #[path = \"other.rs\"] mod more;"),
        ("a.rs", "pub struct A;"),
        (
            "b.rs",
            "/// [`A`](crate::a::A)\n// crate::a::A\n/* crate::a::A */ const T: &str = \"crate::a::A\";
            #[cfg(test)] use crate::a::A;
            #[cfg(test)] pub(crate) fn only(x: u8) -> crate::a::A { crate::a::A }
            struct S { #[cfg(test)] a: crate::a::A, b: u8 }
            #[test] fn t() { crate::a::A; }
            #[cfg(test)] mod tests { use crate::a::A; }",
        ),
    ]);
    assert_eq!(pairs(&graph), Vec::<String>::new());
}

#[test]
fn code_after_tests_and_not_only_for_tests_is_read() {
    let graph = graph(&[
        A_AND_B,
        ("a.rs", "pub struct A;"),
        ("b.rs", "#[cfg(test)] mod tests {} #[cfg(any(test, unix))] use crate::a::A;"),
    ]);
    assert_eq!(pairs(&graph), ["b.rs -> a.rs"]);
}

#[test]
fn globs_bring_the_names_that_are_mentioned() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a/mod.rs", "mod x; mod y; pub use x::*; pub use y::*;"),
        ("a/x.rs", "pub struct X;"),
        ("a/y.rs", "pub struct Y; pub fn make() {}"),
        ("b.rs", "use crate::a::*; fn f(_: X) {}"),
        ("c.rs", "use crate::a::*; fn f() { make() }"),
    ]);
    assert_eq!(pairs(&graph), ["b.rs -> a/x.rs", "c.rs -> a/y.rs"]);
}

#[test]
fn macros_are_followed() {
    let graph = graph(&[
        ("lib.rs", "#[macro_use] mod a; mod b; mod c; mod d; mod e; mod f;"),
        ("a.rs", "macro_rules! shared { ($x:ident) => { $x::f(); crate::e::E }; }"),
        ("b.rs", "shared!(std);"),
        ("c.rs", "macro_rules! local { () => { super::nothing() } } pub(crate) use local;"),
        ("d.rs", "use crate::c::local; local!();"),
        (
            "e.rs",
            "#[macro_export] macro_rules! public { () => { $crate::c::local!() } } pub struct E;",
        ),
        ("f.rs", "fn f() { crate::public!() }"),
    ]);
    assert_eq!(
        pairs(&graph),
        ["a.rs -> e.rs", "b.rs -> a.rs", "d.rs -> c.rs", "e.rs -> c.rs", "f.rs -> e.rs"]
    );
    assert!(graph.through_root.is_empty(), "{:?}", graph.through_root);
}

#[test]
fn inline_modules_and_paths_of_files_are_followed() {
    let graph = graph(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod inline { mod deep; use super::super::b::B; }"),
        ("a/inline/deep.rs", "use super::super::super::b; fn f() { b::g() }"),
        (
            "b.rs",
            "#[path = \"elsewhere/x.rs\"] mod x; pub fn g() {} pub struct B; fn f() { x::h() }",
        ),
        ("elsewhere/x.rs", "pub fn h() {}"),
    ]);
    assert_eq!(
        pairs(&graph),
        ["a.rs -> b.rs", "a/inline/deep.rs -> b.rs", "b.rs -> elsewhere/x.rs"]
    );
}

#[test]
fn module_and_function_of_one_name_are_told_apart() {
    let graph = graph(&[
        ("lib.rs", "mod run; mod b; mod c; pub use run::run;"),
        ("run.rs", "pub fn run() {} pub fn other() {}"),
        ("b.rs", "use crate::run; fn f() { run::other() }"),
        ("c.rs", "use crate::run::run; fn f() { run() }"),
    ]);
    assert_eq!(pairs(&graph), ["b.rs -> run.rs", "c.rs -> run.rs"]);
}

#[test]
fn visibility_is_no_use() {
    let graph = graph(&[
        A_AND_B,
        ("a.rs", "pub(in crate::b) struct A; pub(crate) fn f() {}"),
        ("b.rs", "pub(super) struct B;"),
    ]);
    assert_eq!(pairs(&graph), Vec::<String>::new());
}

#[test]
fn items_of_root_itself_lead_to_root() {
    let graph = graph(&[("lib.rs", "mod a; pub fn f() {}"), ("a.rs", "fn g() { crate::f() }")]);
    assert_eq!(pairs(&graph), ["a.rs -> lib.rs"]);
    assert!(graph.through_root.is_empty());
}

#[test]
fn missing_file_is_reported() {
    let sources: Sources = [("lib.rs".to_owned(), "mod a;".to_owned())].into();
    assert_eq!(modules::read(&sources).missing, ["a.rs"]);
}
