//! `migrate test`: snapshot tests of rule files.

mod case;
mod junit;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use similar::{ChangeTag, TextDiff};

use crate::diagnostic::Diagnostic;
use crate::formats::FormatError;
use crate::printable::printable;
use crate::quantity::counted;

use super::keys::write;
use super::{Exit, Failure, Terminal};
use case::{Case, Outcome};

const EXAMPLES: &str = "\
A case is a folder in DIR/tests. It holds a source, as source.ckpt (or .pt .pth .bin .safetensors) or as \
source.keys.yaml, and where the folder of migrations above is not meant as it is, a file `args` with options of \
`migrate plan`, one a line: `--to v3`, `--rules ../../v1_to_v2.rules`. What must come of it stands beside it:
  plan.txt         the plan, as `migrate plan -v` prints it
  gives.keys.yaml  the keys that come out
  gives.sha256     where the source has data, the SHA-256 of each tensor that comes out
  error.txt        where it must fail: the exit code and the message, and none of the others
`--update` writes them; read them before they are committed.

Examples:
  migrate test                              the cases of migrations/tests
  migrate test models/unet/migrations --update

Exit codes: 0 where all is as expected; 1 where something differs; 2 where there are no cases; 3 where a \
file cannot be read or written";

/// Tests a folder of migrations against what its cases expect
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// The folder of migrations, whose cases are the folders of its `tests`
    #[arg(value_name = "DIR", default_value = "migrations")]
    folder: PathBuf,
    /// Write what comes out as what is expected
    #[arg(long)]
    update: bool,
    /// Write the outcome as JUnit's XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs `migrate test`.
pub fn run(args: &TestArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), false)
}

/// A case that was run.
pub(super) struct Ran {
    pub name: String,
    pub time: Duration,
    /// What is not as expected, as text with one paragraph each; empty where all is.
    pub wrong: Vec<String>,
}

fn work(args: &TestArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let cases = Case::all(&args.folder.join("tests"))?;
    let mut all = Vec::with_capacity(cases.len());
    let mut written = 0;
    for case in cases {
        let start = Instant::now();
        let outcome = case.run()?;
        let mut wrong = Vec::new();
        if args.update {
            written += update(&case, &outcome, terminal)?;
        } else {
            wrong.extend(differences(&case, &outcome, terminal)?);
        }
        wrong.extend(case.unused()?.iter().map(|name| format!("{name} is used by nothing")));
        let ran = Ran { name: case.name.clone(), time: start.elapsed(), wrong };
        terminal.print(&told(&ran))?;
        all.push(ran);
    }
    if let Some(path) = &args.junit {
        write(path, &junit::text(&all), true)?;
    }
    let failed = all.iter().filter(|ran| !ran.wrong.is_empty()).count();
    let cases = counted(all.len(), "case");
    if args.update {
        let files = counted(written, "file");
        terminal.tell(&format!("{cases}; {files} rewritten: read the changes before they are committed\n"));
    } else if failed > 0 {
        let help = "`migrate test --update` takes over what came out";
        terminal.tell(&format!("{cases}, {failed} not as expected; {help}\n"));
    } else {
        terminal.tell(&format!("{cases}, all as expected\n"));
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::Different })
}

/// Writes what comes of one case as what is expected of it.
///
/// # Errors
/// Where it cannot be run or written.
pub(super) fn take_over(folder: &Path, case: &str, terminal: &Terminal) -> Result<(), Failure> {
    for case in Case::all(&folder.join("tests"))?.iter().filter(|found| found.name == case) {
        update(case, &case.run()?, terminal)?;
    }
    Ok(())
}

/// A line for a case, and its differences below.
fn told(ran: &Ran) -> String {
    let mark = if ran.wrong.is_empty() { "ok  " } else { "FAIL" };
    let mut text = format!("{mark}  {}\n", printable(&ran.name));
    for wrong in &ran.wrong {
        let lines = wrong.lines().map(|line| format!("      {line}\n"));
        text.extend(lines);
    }
    text
}

/// What of an outcome differs from what is expected.
fn differences(case: &Case, outcome: &Outcome, terminal: &Terminal) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    let mut lacking = Vec::new();
    for (name, found) in outcome.files() {
        match (case.expected(name)?, found) {
            (None, Some(_)) => lacking.push(name),
            (Some(_), None) => wrong.push(format!("{name} is stale: nothing of that kind comes out")),
            (Some(expected), Some(found)) if expected != *found => {
                wrong.push(format!("{name} differs:\n{}", diff(&expected, found, terminal)));
            }
            _ => {}
        }
    }
    // A case that fails where it must not has no expectations either: what it says is the news.
    if let (Some(error), true) = (outcome.error(), lacking.contains(&"error.txt")) {
        wrong.push(format!("it fails:\n{}", error.trim_end()));
        lacking.retain(|name| *name != "error.txt");
    }
    if !lacking.is_empty() {
        wrong.push(format!("there is no {}: `--update` writes what comes out", lacking.join(", no ")));
    }
    Ok(wrong)
}

/// Writes what came out as what is expected, and takes away what is not; how many files changed.
fn update(case: &Case, outcome: &Outcome, terminal: &Terminal) -> Result<usize, Failure> {
    let mut changed = 0;
    for (name, found) in outcome.files() {
        let path = case.path.join(name);
        let expected = case.expected(name)?;
        let shown = printable(&path.display().to_string());
        match found {
            Some(found) if expected.as_ref() != Some(found) => {
                write(&path, found, true)?;
                let fails = if name == "error.txt" { ": the migration fails" } else { "" };
                terminal.tell(&format!("wrote {shown}{fails}\n"));
            }
            None if expected.is_some() => {
                let removed = fs::remove_file(&path);
                removed.map_err(|source| FormatError::Io { path, doing: "remove", source })?;
                terminal.tell(&format!("removed {shown}: it was stale\n"));
            }
            _ => continue,
        }
        changed += 1;
    }
    Ok(changed)
}

/// The lines that differ, with those around them.
fn diff(expected: &str, found: &str, terminal: &Terminal) -> String {
    // The shortest diff of two long texts that share nothing could take for ever.
    let diff = TextDiff::configure().timeout(Duration::from_secs(2)).diff_lines(expected, found);
    let mut text = String::new();
    for (index, group) in diff.grouped_ops(2).iter().enumerate() {
        if index > 0 {
            text.push_str("  …\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, color) = match change.tag() {
                ChangeTag::Delete => ("-", "\u{1b}[31m"),
                ChangeTag::Insert => ("+", "\u{1b}[32m"),
                ChangeTag::Equal => (" ", ""),
            };
            let line = format!("{sign} {}", printable(change.value().trim_end_matches('\n')));
            match terminal.color && !color.is_empty() {
                true => text.push_str(&format!("{color}{line}\u{1b}[0m\n")),
                false => text.push_str(&format!("{line}\n")),
            }
        }
    }
    text
}

/// There is nothing to test.
fn no_cases(folder: &Path) -> Failure {
    let message = format!("there is no case in `{}`", printable(&folder.display().to_string()));
    let diagnostic = Diagnostic::error("no-cases", message);
    Failure::new(
        Exit::Usage,
        diagnostic.help("a case is a folder there with a source: `source.ckpt`, or `source.keys.yaml`"),
    )
}
