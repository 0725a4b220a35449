//! Finds the crates of the workspace and reads their sources.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::modules::Sources;

/// A crate of the workspace that has sources.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The folder below the root of the workspace; empty for the facade.
    pub(crate) folder: String,
}

/// Returns the root of the workspace to which this program belongs.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Lists the members of the workspace with a folder `src`, the root package first.
pub(crate) fn members(root: &Path) -> io::Result<Vec<Member>> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let folders = std::iter::once(String::new()).chain(member_folders(&manifest));
    let mut members = Vec::new();
    for folder in folders.filter(|folder| root.join(folder).join("src").is_dir()) {
        let manifest = fs::read_to_string(root.join(&folder).join("Cargo.toml"))?;
        let name = package_name(&manifest)
            .ok_or_else(|| io::Error::other(format!("{folder}/Cargo.toml names no package")))?;
        members.push(Member { name, folder });
    }
    Ok(members)
}

/// Reads every source file below a folder.
pub(crate) fn sources(folder: &Path) -> io::Result<Sources> {
    let mut sources = Sources::new();
    for file in files(folder, &|path| path.extension().is_some_and(|extension| extension == "rs"))?
    {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        sources.insert(name, fs::read_to_string(&file)?);
    }
    Ok(sources)
}

/// Lists the files below a folder that are wanted, in their order. Build output, fuzzing data and
/// hidden folders are left out.
pub(crate) fn files(folder: &Path, is_wanted: &dyn Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    const LEFT_OUT: [&str; 3] = ["target", "corpus", "findings"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_hidden = name.starts_with('.') && name != ".ci";
        if path.is_dir() {
            if !is_hidden && !LEFT_OUT.contains(&name.as_ref()) {
                found.extend(files(&path, is_wanted)?);
            }
        } else if is_wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn member_folders(manifest: &str) -> Vec<String> {
    let Some((_, list)) = manifest.split_once("\nmembers = [") else { return Vec::new() };
    let list = list.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn package_name(manifest: &str) -> Option<String> {
    let (_, package) = manifest.split_once("[package]")?;
    let line = package.lines().find(|line| line.starts_with("name = "))?;
    line.split('"').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn manifests_are_read() {
        let manifest = "[workspace]\nmembers = [\n  \"a\", \"b/c\",\n]\ndefault-members = [\".\"]\n[package]\nname = \"x\"";
        assert_eq!(member_folders(manifest), ["a", "b/c"]);
        assert_eq!(package_name(manifest).as_deref(), Some("x"));
    }

    #[test]
    fn workspace_holds_this_crate_and_the_facade() {
        let members = members(&root()).unwrap();
        assert!(
            members
                .iter()
                .any(|member| member.name == "carrot-checks" && member.folder == "checks")
        );
        assert!(members.iter().any(|member| member.name == "carrot" && member.folder.is_empty()));
        assert!(sources(&root().join("checks/src")).unwrap().contains_key("workspace.rs"));
    }
}
