//! The README and `--help` say what the program does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use ckpt_migrate::rules::verbs;
use regex::Regex;

use super::command::Folder;
use super::docs::page;

fn migrate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_migrate"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .unwrap()
}

fn help(command: &[&str]) -> String {
    let output = migrate(&[command, &["--help"]].concat());
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = list.lines().filter_map(|line| line.trim_start().split_once("  "));
    let names = rows.map(|(name, _)| name.to_owned());
    names.filter(|name| name != "help").collect()
}

/// The options that a command has, as they are written: `-o`, `--output`.
fn options(command: &[&str]) -> BTreeSet<String> {
    let help = help(command);
    let option = Regex::new(r"(?m)^ {2,8}(-[a-zA-Z])?(?:, )?(--[a-z-]+)?(?: <.*>)?").unwrap();
    let listed = help.split("\nOptions:\n").nth(1).unwrap();
    let found = option.captures_iter(listed).flat_map(|found| [found.get(1), found.get(2)]);
    found.flatten().map(|option| option.as_str().to_owned()).collect()
}

/// Checks that the words of a command line name a command that exists, and options that it has.
fn check_line(line: &str) {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let commands = commands();
    let command = words.first().filter(|word| commands.iter().any(|name| name == *word)).copied();
    let known = options(command.as_slice());
    for word in words.iter().filter(|word| word.starts_with('-')) {
        assert!(known.contains(*word), "`{line}`: there is no option `{word}`");
    }
    if let Some(word) = words.first().filter(|word| !word.starts_with('-')) {
        assert!(command.is_some() || *word == "help", "`{line}`: there is no command `{word}`");
    }
}

#[test]
fn the_main_job_of_the_readme_runs_as_it_stands() {
    let readme = page("README.md");
    let start = "    cargo run --release -- ";
    let lines: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix(start)).collect();
    let [line] = lines.as_slice() else { panic!("the README has {} lines of `{start}`", lines.len()) };
    let (arguments, output) = line.split_once(" -o ").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join(output);
    let mut words: Vec<&str> = arguments.split(' ').collect();
    words.extend(["-o", output.to_str().unwrap()]);
    let ran = migrate(&words);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(output.is_file());
    let compared = migrate(&["diff", output.to_str().unwrap(), "rules/example/v2.keys.yaml"]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
}

#[test]
fn the_folder_of_versions_of_the_readme_comes_to_be_as_it_stands() {
    let readme = page("README.md");
    let section = readme.split("\n## A folder of versions\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    migrate ")).collect();
    assert_eq!(commands.len(), 6);
    let folder = Folder::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/example");
    folder.write("old.ckpt", std::fs::read(example.join("v1.ckpt")).unwrap());
    let words = ["--rules", "rules/example/v1_to_v2.rules", "rules/example/v1.ckpt", "-o"];
    let new = folder.path("new.ckpt");
    assert!(migrate(&[&words[..], &[new.to_str().unwrap()]].concat()).status.success());
    for command in commands {
        let ran = folder.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.exit, 0, "migrate {command}: {}", ran.stderr);
        if command.starts_with("new ") {
            let rules = "migrations/v1_to_v2.rules";
            let drafted = String::from_utf8(folder.read(rules)).unwrap();
            // The suggestions are right here; what is gone is written by hand.
            let suggested = drafted.lines().filter_map(|line| line.strip_prefix("#   "));
            let renames: Vec<&str> = suggested.filter(|line| line.starts_with("rename ")).collect();
            let written = format!("{drafted}\n{}\ndrop model.decoder.grid\n", renames.join("\n"));
            folder.write(rules, written);
        }
    }
    let compared =
        migrate(&["diff", folder.path("old_as_v2.ckpt").to_str().unwrap(), "rules/example/v2.keys.yaml"]);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
}

#[test]
fn the_readme_has_two_commands_to_set_up() {
    let readme = page("README.md");
    let section = readme.split("\n## Set up\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let commands: Vec<&str> = section.lines().filter(|line| line.starts_with("    ")).collect();
    assert_eq!(commands.len(), 2);
    assert_eq!(commands[1], "    bash tests/run");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run").is_file());
}

#[test]
fn the_readme_shows_the_shipped_rule_file() {
    let rules = page("rules/example/v1_to_v2.rules");
    let indented: String = rules
        .lines()
        .map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") })
        .collect();
    assert!(page("README.md").contains(&indented), "the README's first rule file is another one");
}

#[test]
fn the_readme_shows_the_plan_as_it_is_printed() {
    let plan = migrate(&["plan", "--rules", "rules/example/v1_to_v2.rules", "rules/example/v1.ckpt"]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    let readme = page("README.md");
    let section = readme.split("\n## How to read a plan\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let shown: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(!shown.is_empty());
    for line in shown {
        assert!(plan.lines().any(|own| own == line), "the plan has no line\n{line}\nbut is\n{plan}");
    }
    let summary = Regex::new("`([0-9]+ tensors out of [^`]+)`").unwrap();
    assert!(plan.contains(&summary.captures(section).unwrap()[1]));
}

#[test]
fn the_readme_lists_the_verbs_there_are() {
    let readme = page("README.md");
    let sentence = readme.split("\nThe verbs: ").nth(1).unwrap().split(". ").next().unwrap();
    let word = Regex::new("`([a-z]+)`").unwrap();
    let listed: Vec<String> = word.captures_iter(sentence).map(|found| found[1].to_owned()).collect();
    assert_eq!(listed, verbs::names());
}

#[test]
fn the_readme_lists_the_commands_there_are() {
    let row = Regex::new(r"(?m)^\| `(migrate [^`]+)` \|").unwrap();
    let readme = page("README.md");
    let lines: Vec<String> = row.captures_iter(&readme).map(|found| found[1].to_owned()).collect();
    let listed: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|word| !word.starts_with('-'))
        .collect();
    let commands = commands();
    assert_eq!(listed, commands.iter().map(String::as_str).collect());
    lines.iter().for_each(|line| check_line(line));
}

#[test]
fn command_lines_in_the_pages_and_in_help_have_existing_options() {
    let mut lines: Vec<String> = Vec::new();
    let in_text = Regex::new("`(migrate (?:--|[a-z]+ )[^`]*)`").unwrap();
    for name in [
        "README.md",
        "docs/language.md",
        "docs/cookbook.md",
        "docs/versions.md",
        "docs/errors.md",
        "docs/scale.md",
    ] {
        let text = page(name).replace('\n', " ");
        lines.extend(in_text.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    let help = help(&[]);
    let examples = help.split("\nExamples:\n").nth(1).unwrap();
    lines.extend(examples.lines().filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        Some(line.split("   ").next().unwrap_or(line).to_owned())
    }));
    assert!(lines.len() > 10, "{lines:?}");
    lines.iter().for_each(|line| check_line(line));
}
