//! `migrate check`: a folder of migrations, proved from key set to key set without any checkpoint.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::keyset::KeySet;
use crate::printable::printable;
use crate::quantity::counted;
use crate::source::Sources;
use crate::table::Table;

use super::chain::{self, Broken, Folder, Link};
use super::limits::LimitArgs;
use super::rule_file::Values;
use super::{Exit, Failure, Terminal, json_text};

const EXAMPLES: &str = "\
Examples:
  migrate check                                 all of migrations/, for people and for CI
  migrate check models/unet/migrations          another folder

A folder of migrations holds v1_to_v2.rules, v2_to_v3.rules and so on, and v1.keys.yaml, v2.keys.yaml and \
so on. A rule file under another name and without a header is one that others include.

Exit codes: 0 where all steps are proved; 1 where one does not lead where it should; 2 where the folder is \
no chain, or a rule file does not parse; 3 where a file cannot be read";

/// Checks a folder of migrations, without any checkpoint
///
/// The rule files must make one chain of versions, without gap, fork or circle; each version must have a key
/// set; and each rule file must lead from the key set of its version to exactly that of the next. Says also
/// which steps can be gone back.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The folder of rule files and key sets
    #[arg(value_name = "DIR", default_value = "migrations")]
    folder: PathBuf,
    /// A value for a `let` of the rule files
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The model's config.json: rules use its values as `config.hidden_size`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate check`.
pub fn run(args: &CheckArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

/// What planning all steps of a folder came to.
#[derive(Default)]
struct Found {
    problems: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Found {
    /// Plans a step between its key sets, where both are there.
    fn step(&mut self, link: &Link, sources: &Sources, (from, to): (Option<&KeySet>, Option<&KeySet>)) {
        self.warnings.extend(link.warnings.iter().cloned());
        let Some(keys) = from.zip(to) else { return };
        match chain::between(link, sources, keys) {
            Ok((_, warnings)) => self.warnings.extend(warnings),
            Err(problems) => self.problems.extend(problems),
        }
    }
}

fn work(args: &CheckArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let limits = args.limits.limits();
    let values = Values { set: &args.set, config: args.config.as_deref(), limits: &limits };
    let folder = Folder::load(&args.folder, values).map_err(all_problems)?;
    let keys: BTreeMap<&str, &KeySet> =
        folder.versions.iter().map(|version| (version.name.as_str(), &version.keys)).collect();
    let mut found = Found::default();
    for link in folder.links.iter().chain(folder.back.values()) {
        let of = |version: &str| keys.get(version).copied();
        found.step(link, &folder.sources, (of(&link.from), of(&link.to)));
    }
    let Found { problems, warnings } = found;
    if args.deny_warnings && !warnings.is_empty() {
        let message = format!("{} denied by `--deny-warnings`", counted(warnings.len(), "warning"));
        let denied = Diagnostic::error("denied-warnings", message);
        let diagnostics = warnings.into_iter().chain(problems).chain([denied]).collect();
        return Err(Failure { exit: Exit::Different, diagnostics, sources: folder.sources });
    }
    if !problems.is_empty() {
        let diagnostics = warnings.into_iter().chain(problems).collect();
        return Err(Failure { exit: Exit::Different, diagnostics, sources: folder.sources });
    }
    terminal.show(&warnings, &folder.sources);
    let ways_back: Vec<Result<String, String>> =
        (0..folder.links.len()).map(|number| way_back(&folder, number)).collect();
    match args.json {
        true => terminal.print(&json_text::pretty(&to_json(&folder, &ways_back)))?,
        false => terminal.print(&to_text(&folder, &ways_back))?,
    }
    Ok(Exit::Done)
}

/// What is wrong with a folder that is no chain; what can be planned in it, is.
pub(super) fn all_problems(broken: Broken) -> Failure {
    let mut found = Found::default();
    for link in &broken.links {
        found.step(link, &broken.sources, (broken.keys.get(&link.from), broken.keys.get(&link.to)));
    }
    let diagnostics = found.warnings.into_iter().chain(broken.diagnostics).chain(found.problems);
    Failure { exit: broken.exit, diagnostics: diagnostics.collect(), sources: broken.sources }
}

/// How the step behind a version is gone back, or why not.
fn way_back(folder: &Folder, number: usize) -> Result<String, String> {
    if let Some(link) = folder.back.get(&number) {
        return Ok(link.name.clone());
    }
    match chain::undoing(folder, number) {
        Ok(undoing) if undoing.numeric > 0 => {
            Ok(format!("proved, {} up to rounding", counted(undoing.numeric, "key")))
        }
        Ok(_) => Ok("proved, bit for bit".to_owned()),
        // The reason stands behind the step, which the table names.
        Err((_, diagnostics)) => {
            let message = diagnostics.into_iter().next().map(|diagnostic| diagnostic.message);
            let reason = message.as_deref().and_then(|message| message.split_once(": "));
            Err(reason.map_or_else(String::new, |(_, reason)| reason.to_owned()))
        }
    }
}

fn to_json(folder: &Folder, ways_back: &[Result<String, String>]) -> Value {
    let versions: Vec<Value> = folder
        .versions
        .iter()
        .map(|version| json!({ "name": version.name, "keys": version.keys.len() }))
        .collect();
    let steps = folder.links.iter().zip(ways_back).map(|(link, back)| {
        let step = link.step(&folder.sources);
        json!({
            "from": link.from,
            "to": link.to,
            "rules": link.path,
            "sha256": step.sha256,
            "way_back": back.as_ref().ok(),
            "no_way_back": back.as_ref().err(),
        })
    });
    json!({ "format": 1, "versions": versions, "steps": steps.collect::<Vec<Value>>(), "problems": [] })
}

fn to_text(folder: &Folder, ways_back: &[Result<String, String>]) -> String {
    let mut text = printable(&folder.path.display().to_string());
    let names: Vec<&str> = folder.versions.iter().map(|version| version.name.as_str()).collect();
    text.push_str(&format!(": {}\n", printable(&names.join(" -> "))));
    let mut table = Table::new();
    table.row(["rules", "keys", "way back"]);
    for ((link, pair), back) in folder.links.iter().zip(folder.versions.windows(2)).zip(ways_back) {
        let keys: Vec<String> = pair.iter().map(|version| version.keys.len().to_string()).collect();
        let back = match back {
            Ok(back) => back.clone(),
            Err(reason) => format!("none: {reason}"),
        };
        table.row([printable(&link.name), keys.join(" -> "), printable(&back)]);
    }
    if !folder.links.is_empty() {
        text.push_str(&table.lines("  ").join("\n"));
        text.push('\n');
    }
    let steps = counted(folder.links.len(), "step");
    text.push_str(&format!("{steps}, each proved from key set to key set\n"));
    text
}
