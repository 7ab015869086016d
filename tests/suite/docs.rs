//! The pages of the documentation name what is there: verbs, links, error codes, folders, dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ckpt_migrate::rules::verbs::VERBS;
use regex::Regex;

/// The text of a file of the repository.
pub fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_reference_has_a_section_and_a_row_for_every_verb() {
    let page = page("docs/language.md");
    for verb in VERBS {
        assert!(page.contains(&format!("\n### {}\n", verb.name)), "no section for `{}`", verb.name);
        let row = format!("| [`{0}`](#{0}) | {1} | `{2}` |", verb.name, verb.summary, verb.example);
        assert!(page.contains(&row), "the table of verbs lacks the row\n{row}");
        let section = page.split(&format!("\n### {}\n", verb.name)).nth(1).unwrap();
        let section = section.split("\n##").next().unwrap();
        for option in verb.options {
            let word = Regex::new(&format!(r"\b{}\b", option.name)).unwrap();
            assert!(word.is_match(section), "the section of `{}` lacks `{}`", verb.name, option.name);
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| [`")).count();
    assert_eq!(rows, VERBS.len(), "the table of verbs has other rows than verbs");
}

#[test]
fn links_inside_the_pages_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = [
        "README.md",
        "CHANGELOG.md",
        "docs/language.md",
        "docs/cookbook.md",
        "docs/versions.md",
        "docs/errors.md",
        "docs/reliability.md",
        "docs/architecture.md",
        "docs/dependencies.md",
        "docs/scale.md",
        "docs/performance.md",
    ];
    for name in pages {
        for found in link.captures_iter(&page(name)) {
            let (path, anchor) = found[1].split_once('#').unwrap_or((&found[1], ""));
            if path.contains("://") {
                continue;
            }
            let target =
                if path.is_empty() { root.join(name) } else { root.join(name).parent().unwrap().join(path) };
            let text = std::fs::read_to_string(&target);
            let text = text.unwrap_or_else(|_| panic!("{name}: `{}` does not exist", &found[1]));
            let anchors = text.lines().filter(|line| line.starts_with('#')).map(anchor_of);
            assert!(
                anchor.is_empty() || anchors.into_iter().any(|own| own == anchor),
                "{name}: `{}` has no such heading",
                &found[1]
            );
        }
    }
}

#[test]
fn the_page_of_scale_quotes_the_job_files_as_they_are() {
    let scale = page("docs/scale.md");
    for name in ["examples/ray_migrate.py", "examples/slurm_migrate.sh", "examples/k8s_migrate.yaml"] {
        assert!(scale.contains(&page(name)), "docs/scale.md does not quote {name} as it is");
    }
}

/// The anchor that a heading gets.
fn anchor_of(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn the_page_of_errors_has_every_code() {
    let in_code = codes_in_code();
    let page = page("docs/errors.md");
    let on_page: BTreeSet<String> = rows(&page).into_iter().map(|(code, _)| code).collect();
    let lacking: Vec<_> = in_code.difference(&on_page).collect();
    let unknown: Vec<_> = on_page.difference(&in_code).collect();
    assert!(lacking.is_empty() && unknown.is_empty(), "lacking: {lacking:?}; unknown: {unknown:?}");
}

/// The files of `src` up to the tests inside them; files of tests apart.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap_or_default();
            if name == "tests" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            sources.push((path, code));
        }
    }
    sources
}

/// The codes of errors in `src`: what follows `=>` in functions named `code`, and the first argument of
/// `Diagnostic::error` and `Diagnostic::warning`; tests inside the files apart.
fn codes_in_code() -> BTreeSet<String> {
    let function = Regex::new(r"(?s)fn code\(.*?\n    \}\n").unwrap();
    let arm = Regex::new(r#""([a-z][a-z-]*)""#).unwrap();
    let made = Regex::new(r#"Diagnostic::(?:error|warning)\(\s*"([a-z][a-z-]*)""#).unwrap();
    let mut codes = BTreeSet::new();
    for (_, text) in sources() {
        let in_functions = function.find_iter(&text).flat_map(|body| arm.captures_iter(body.as_str()));
        codes.extend(in_functions.chain(made.captures_iter(&text)).map(|found| found[1].to_owned()));
    }
    assert!(codes.len() > 50, "only {} codes were found", codes.len());
    codes
}

/// The first cells of a page's tables, without their quotes, each with the rest of its row.
fn rows(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(first, rest)| (first.to_owned(), rest.to_owned())).collect()
}

#[test]
fn folders_use_those_that_the_architecture_says() {
    let page = page("docs/architecture.md");
    let table = page.split("\n## Who may import whom\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let word = Regex::new("`([a-z]+)`").unwrap();
    let said: BTreeMap<String, BTreeSet<String>> = rows(table)
        .into_iter()
        .map(|(folder, rest)| (folder, word.captures_iter(&rest).map(|used| used[1].to_owned()).collect()))
        .collect();
    assert_eq!(said, imports());
}

/// Which modules of the crate each module's files name as `crate::…`, tests and comments apart.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let used = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let module = path.strip_prefix(&root).unwrap().components().next().unwrap();
        let module = module.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let names = used.captures_iter(&code.join("\n")).map(|found| found[1].to_owned()).collect::<Vec<_>>();
        let others = names.into_iter().filter(|name| *name != module);
        imports.entry(module.clone()).or_default().extend(others);
    }
    imports
}

#[test]
fn the_page_of_dependencies_has_each_dependency() {
    let cargo = page("Cargo.toml");
    let mut named = BTreeSet::new();
    for section in ["\n[dependencies]\n", "\n[dev-dependencies]\n"] {
        let lines = cargo.split(section).nth(1).unwrap().split("\n[").next().unwrap().lines();
        named.extend(lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned())));
    }
    let cell = Regex::new("`([a-z_0-9-]+)`").unwrap();
    let page = page("docs/dependencies.md");
    let first_cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let on_page: BTreeSet<String> = first_cells
        .flat_map(|cells| {
            cell.captures_iter(&format!("`{cells}")).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(on_page, named);
}
