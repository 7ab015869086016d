//! One case: a folder with a source, and with what must come of migrating it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::apply;
use crate::cli::plan::to_text;
use crate::cli::plan_args::PlanArgs;
use crate::cli::prepare::prepare;
use crate::cli::prove::{Outcome as Proved, Prepared};
use crate::cli::{Exit, Failure};
use crate::diagnostic::{Diagnostic, render};
use crate::formats::{FormatError, keys_yaml};
use crate::keyset::{KeyInfo, KeySet};
use crate::plan::Plan;

/// What may be expected, a file each.
const EXPECTATIONS: [&str; 4] = ["plan.txt", "gives.keys.yaml", "gives.sha256", "error.txt"];
/// The width of messages, whatever terminal they are written at.
const WIDTH: usize = 100;

/// A case of `migrate test`.
pub(super) struct Case {
    pub name: String,
    pub path: PathBuf,
    /// The names of its files, sorted.
    files: Vec<String>,
}

/// What came of a case: the text of each expectation that applies.
#[derive(Default)]
pub(super) struct Outcome([Option<String>; 4]);

/// The arguments of a case, as `migrate plan` takes them.
#[derive(Parser)]
#[command(name = "args", no_binary_name = true)]
struct CaseArgs {
    #[command(flatten)]
    plan: PlanArgs,
}

impl Outcome {
    /// What came out under the names of the expectations.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Option<String>)> {
        EXPECTATIONS.into_iter().zip(&self.0)
    }

    /// The message of a case that failed.
    pub fn error(&self) -> Option<&str> {
        self.0[3].as_deref()
    }
}

/// The working folder, until it is dropped: messages then name the files of a case as they lie in it, from
/// wherever the test is run.
struct Within(PathBuf);

impl Within {
    fn folder(path: &Path) -> Result<Within, Failure> {
        let io = |source| FormatError::Io { path: path.to_owned(), doing: "enter", source };
        let before = env::current_dir().map_err(io)?;
        env::set_current_dir(path).map_err(io)?;
        Ok(Within(before))
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        // If it is gone, so is what could be done about it.
        let _ = env::set_current_dir(&self.0);
    }
}

impl Case {
    /// The cases in a folder, in the order of their names.
    ///
    /// # Errors
    /// Where it cannot be read, or there is none.
    pub fn all(folder: &Path) -> Result<Vec<Case>, Failure> {
        if !folder.is_dir() {
            return Err(super::no_cases(folder));
        }
        let mut cases = Vec::new();
        for name in names(folder)?.into_iter().filter(|name| !name.starts_with('.')) {
            let path = folder.join(&name);
            if path.is_dir() {
                let files = names(&path)?;
                cases.push(Case { name, path, files });
            }
        }
        if cases.is_empty() { Err(super::no_cases(folder)) } else { Ok(cases) }
    }

    /// Migrates the source, and writes nothing.
    ///
    /// # Errors
    /// Where the case itself cannot be run; that its migration fails is an outcome.
    pub fn run(&self) -> Result<Outcome, Failure> {
        let args = self.args()?;
        let within = Within::folder(&self.path)?;
        let outcome = match prepare(&args, true).and_then(|prepared| made(&prepared)) {
            Ok(outcome) => outcome,
            Err(failure) => {
                let text = render(&failure.diagnostics, &failure.sources, false, WIDTH);
                Outcome([None, None, None, Some(format!("exit {}\n{text}", failure.exit as u8))])
            }
        };
        drop(within);
        Ok(outcome)
    }

    /// The text of an expectation, where there is one.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn expected(&self, name: &str) -> Result<Option<String>, Failure> {
        if !self.files.iter().any(|file| file == name) {
            return Ok(None);
        }
        let path = self.path.join(name);
        let text = fs::read_to_string(&path);
        Ok(Some(text.map_err(|source| FormatError::Io { path, doing: "read", source })?))
    }

    /// Files that nothing of the case speaks of.
    ///
    /// # Errors
    /// Where `args` cannot be read.
    pub fn unused(&self) -> Result<Vec<&str>, Failure> {
        let args = self.expected("args")?.unwrap_or_default();
        let known = |name: &str| {
            // Rule files and key sets may be taken in by others.
            let inputs = [".rules", ".keys.yaml"];
            name == "args"
                || name.starts_with('.')
                || is_source(name)
                || EXPECTATIONS.contains(&name)
                || (!name.starts_with("gives.") && inputs.iter().any(|input| name.ends_with(input)))
                || args.contains(name)
        };
        Ok(self.files.iter().map(String::as_str).filter(|name| !known(name)).collect())
    }

    /// The arguments that the file `args` gives, and those that it leaves to be the usual ones.
    fn args(&self) -> Result<PlanArgs, Failure> {
        let given = self.expected("args")?.unwrap_or_default();
        let mut words: Vec<&str> = Vec::new();
        for line in given.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            // `--option VALUE` on one line is two words; the value may hold spaces.
            match line.split_once(' ').filter(|(option, _)| option.starts_with("--")) {
                Some((option, value)) => words.extend([option, value.trim()]),
                None => words.push(line),
            }
        }
        if !words.iter().any(|word| *word == "--rules" || word.starts_with("--rules=")) {
            words.extend(["--rules", "../.."]);
        }
        words.extend(self.files.iter().map(String::as_str).filter(|name| is_source(name)));
        let parsed = CaseArgs::try_parse_from(words).map_err(|error| {
            let said = error.to_string();
            let said = match error.kind() {
                ErrorKind::MissingRequiredArgument => "there is no source, neither here nor in the folder",
                _ => said.lines().next().unwrap_or_default().trim_start_matches("error: "),
            };
            let path = self.path.join("args");
            let message = format!("`{}`: {}", path.display(), said);
            let help = "it holds options of `migrate plan`, one a line; a source may lie beside it";
            Failure::new(Exit::Usage, Diagnostic::error("usage", message).help(help))
        })?;
        Ok(parsed.plan)
    }
}

/// Whether a file is the source of a case.
fn is_source(name: &str) -> bool {
    name.starts_with("source.")
}

fn names(folder: &Path) -> Result<Vec<String>, FormatError> {
    let io = |source| FormatError::Io { path: folder.to_owned(), doing: "read", source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        names.extend(entry.map_err(io)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// What a proved plan comes to.
fn made(prepared: &Prepared) -> Result<Outcome, Failure> {
    let warnings = match prepared.outcome {
        Proved::Plans(_) => render(&prepared.warnings, &prepared.sources, false, WIDTH),
        Proved::AlreadyMigrated { .. } => String::new(),
    };
    let text = format!("{warnings}{}", to_text(prepared, true));
    let Proved::Plans(plans) = &prepared.outcome else {
        return Ok(Outcome([Some(text), None, None, None]));
    };
    let keys = plans.first().map(|plan| keys_yaml::emit(&keys_of(plan)));
    let sums = if prepared.keys_alone { None } else { Some(sums(prepared, plans)?) };
    Ok(Outcome([Some(text), keys, sums, None]))
}

/// The keys that come out of a plan.
fn keys_of(plan: &Plan) -> KeySet {
    let mut keys = KeySet::new("");
    for output in plan.outputs() {
        let info = KeyInfo::from(plan.arena().spec(output.expr).clone());
        keys.keys.insert(output.key.clone(), info);
    }
    keys
}

/// A line for each tensor that comes out, as `sha256sum` writes them for files.
fn sums(prepared: &Prepared, plans: &[Plan]) -> Result<String, Failure> {
    let mut text = String::new();
    let several = plans.len() > 1;
    let failed = |error: apply::ApplyError| {
        let (exit, diagnostic) = crate::cli::carry::refused(&error);
        Failure { exit, diagnostics: vec![diagnostic], sources: prepared.sources.clone() }
    };
    let mut add = |at: &str, digest: apply::TensorDigest| {
        // What cannot be looked into has no digest.
        let sum = digest.sha256.unwrap_or_else(|| "-".repeat(64));
        text.push_str(&format!("{sum}  {at}{}\n", digest.name));
    };
    for (plan, dict) in plans.iter().zip(&prepared.checkpoint.dicts) {
        let at = if several { format!("{}: ", dict.at.name()) } else { String::new() };
        for digest in apply::digests(plan, dict).map_err(failed)? {
            add(&at, digest);
        }
    }
    for digest in apply::moment_digests(&prepared.beside.optimizers).map_err(failed)? {
        add("optimizer: ", digest);
    }
    Ok(text)
}
