//! What the program is made of: licences, doubled crates, sources, the oldest compiler, and the page that lists it.
//!
//! `deny.toml` says what is allowed; `cargo-deny` reads it too, and looks at other systems as well, but is not everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A crate of the program or of its tests.
struct Crate {
    name: String,
    version: String,
    licence: String,
    source: String,
    /// The oldest compiler that it builds with, where it says so.
    rust_version: Option<Vec<u64>>,
    /// The crates that need it.
    needed_by: BTreeSet<String>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn version(text: &str) -> Vec<u64> {
    text.split('.').map(|part| part.parse().unwrap()).collect()
}

/// Every crate but this one, as Cargo resolves them for this system.
fn crates() -> Vec<Crate> {
    let system = "x86_64-unknown-linux-gnu";
    let arguments =
        ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", system];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name_of: BTreeMap<&str, String> =
        packages.iter().map(|package| (package["id"].as_str().unwrap(), text(&package["name"]))).collect();
    let mut needed_by: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        for needed in node["deps"].as_array().unwrap() {
            let user = name_of[node["id"].as_str().unwrap()].clone();
            needed_by.entry(needed["pkg"].as_str().unwrap()).or_default().insert(user);
        }
    }
    let others = packages.iter().filter(|package| package["id"] != metadata["resolve"]["root"]);
    others
        .map(|package| Crate {
            name: text(&package["name"]),
            version: text(&package["version"]),
            licence: text(&package["license"]),
            source: text(&package["source"]),
            rust_version: package["rust_version"].as_str().map(version),
            needed_by: needed_by.remove(package["id"].as_str().unwrap()).unwrap_or_default(),
        })
        .collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{ROOT}/{name}")).unwrap()
}

/// The texts in quotes in the list that has this name in `deny.toml`.
fn allowed(list: &str) -> BTreeSet<String> {
    let deny = page("deny.toml");
    let list =
        Regex::new(&format!(r"(?ms)^{list} = \[(.*?)\]$")).unwrap().captures(&deny).unwrap()[1].to_owned();
    let texts = Regex::new(r#""([^"]*)""#).unwrap();
    texts.captures_iter(&list).map(|found| found[1].to_owned()).collect()
}

#[test]
fn licences_are_among_those_that_are_allowed() {
    let allowed = allowed("allow");
    let is_allowed = |licence: &str| allowed.contains(licence.trim_matches(['(', ')', ' ']));
    for Crate { name, licence, .. } in crates() {
        // `A AND (B OR C)`, of which one of each must do; a slash is an old way to write `OR`.
        let each = licence.replace('/', " OR ");
        let allowed = each.split(" AND ").all(|choice| choice.split(" OR ").any(is_allowed));
        assert!(allowed, "the licence of `{name}`, {licence}, is not one that `deny.toml` allows");
    }
}

#[test]
fn no_crate_is_there_twice() {
    let skipped = allowed("skip");
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in
        crates().into_iter().filter(|found| !skipped.contains(&format!("{}@{}", found.name, found.version)))
    {
        versions.entry(found.name).or_default().push(found.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "crates that are there twice: {versions:?}");
}

#[test]
fn all_crates_are_from_the_registry() {
    for Crate { name, source, .. } in crates() {
        assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
    }
}

#[test]
fn no_crate_asks_for_a_later_compiler() {
    let cargo = page("Cargo.toml");
    let own = Regex::new(r#"(?m)^rust-version = "(.*)""#).unwrap().captures(&cargo).unwrap()[1].to_owned();
    for Crate { name, rust_version, .. } in crates() {
        assert!(
            rust_version.is_none_or(|asked| asked <= [version(&own), vec![u64::MAX]].concat()),
            "{name} asks for more"
        );
    }
}

#[test]
fn the_page_of_dependencies_has_each_crate_that_they_bring_along() {
    let page = page("docs/dependencies.md");
    let table = page.split("\n## What they bring along\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let written: BTreeSet<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let brought = crates().into_iter().filter(|found| !found.needed_by.contains("ckpt-migrate"));
    let lines: BTreeSet<String> = brought
        .map(|found| {
            let users: Vec<String> = found.needed_by.into_iter().collect();
            format!("| {} | {} | {} |", found.name, found.licence, users.join(", "))
        })
        .collect();
    assert_eq!(written, lines.iter().map(String::as_str).collect(), "write the lines of the right side");
}
