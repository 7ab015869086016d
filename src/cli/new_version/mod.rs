//! `migrate new`: the next version of a folder of migrations.

mod draft;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::formats::keys_yaml;
use crate::keyset::{Difference, KeySet};
use crate::printable::printable;
use crate::quantity::counted;
use crate::source::Sources;

use super::chain::{Folder, leads_back};
use super::check::all_problems;
use super::fresh::{Fresh, refuse_existing, write_all};
use super::limits::LimitArgs;
use super::rule_file::Values;
use super::target::load_keyset;
use super::{Exit, Failure, Terminal};
use draft::Draft;

const EXAMPLES: &str = "\
Examples:
  migrate new v2 --from new.ckpt                writes migrations/v2.keys.yaml and v1_to_v2.rules
  migrate new v3 --from v3.keys.yaml --dir models/unet/migrations

The rule file lists, as comments, what is missing and unexpected, and suggests renames that names and shapes \
allow. Neither is evidence: each suggestion is a comment until you uncomment it. `migrate check` fails until \
the rules lead from key set to key set.

Exit codes: 0 done; 2 where there is such a version already, or the folder is no chain of versions; 3 where a \
file cannot be read or written";

/// Adds a version to a folder of migrations: its key set, and a rule file to be filled in
///
/// Nothing is ever replaced.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct NewArgs {
    /// The name of the new version, such as v3
    #[arg(value_name = "VERSION")]
    version: String,
    /// A checkpoint of the new model, be it untrained, or its .keys.yaml
    #[arg(long, value_name = "CKPT")]
    from: PathBuf,
    /// The folder of migrations
    #[arg(long, value_name = "DIR", default_value = "migrations")]
    dir: PathBuf,
    /// Which dict of tensors, where the file holds several, such as state_dict
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
    /// A value for a `let` of the rule files that are there
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The model's config.json, where rule files that are there use it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate new`.
pub fn run(args: &NewArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), false)
}

fn work(args: &NewArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let version = &args.version;
    let dir = &args.dir;
    let limits = args.limits.limits();
    let values = Values { set: &args.set, config: args.config.as_deref(), limits: &limits };
    if !dir.is_dir() {
        let message = format!("there is no folder `{}`", shown(dir));
        let diagnostic = Diagnostic::error("no-migrations", message)
            .help("`migrate init CKPT` makes one, from a checkpoint of the model as it was")
            .help("`--dir DIR` names another");
        return Err(Failure::new(Exit::Usage, diagnostic));
    }
    let folder = Folder::load(dir, values).map_err(all_problems)?;
    let Some(last) = folder.versions.last() else {
        return Err(bad_version(version, "", "the folder has none to start from"));
    };
    name_is_good(version, &last.name)?;
    let rules = dir.join(format!("{}_to_{version}.rules", last.name));
    let keys_file = folder.keys_file(version);
    refuse_existing([keys_file.as_path(), rules.as_path()])?;
    if leads_back(&last.name, version) {
        return Err(bad_version(version, &last.name, "a smaller number is a way back"));
    }
    let mut keys = load_keyset(&args.from, args.at.as_deref(), &limits)?;
    keys.name = Some(version.clone());
    let difference = Difference::new(&last.keys, &keys);
    let check = format!("migrate check {}", shown(dir));
    let draft =
        Draft { from: &last.name, to: version, old: &last.keys, difference: &difference, check: &check };
    let files = [Fresh::text(keys_file, keys_yaml::emit(&keys)), Fresh::text(rules.clone(), draft.text())];
    write_all(&files)?;
    terminal.show(&same(&last.keys, &keys, (&last.name, version)), &Sources::new());
    for file in &files {
        terminal.tell(&format!("wrote {}\n", shown(&file.path)));
    }
    let own = if dir == Path::new("migrations") { String::new() } else { format!(" {}", shown(dir)) };
    let counts = [
        (difference.missing.len(), "missing"),
        (difference.unexpected.len(), "unexpected"),
        (difference.shape.len(), "of another shape"),
        (difference.dtype.len(), "of another dtype"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> =
        counts.map(|(count, what)| format!("{} {what}", counted(*count, "key"))).collect();
    let counts = if counts.is_empty() { "the same keys".to_owned() } else { counts.join(", ") };
    terminal.tell(&format!(
        "{} -> {version}: {counts}\n\nnext: write the rules in {}, until `{check}` is content; then `migrate test{own} --update`\n\
         writes down what becomes of the cases, to be read before it is committed\n",
        printable(&last.name),
        shown(&rules),
    ));
    Ok(Exit::Done)
}

/// Warns where a version cannot be told from the one before it.
fn same(old: &KeySet, new: &KeySet, (from, to): (&str, &str)) -> Vec<Diagnostic> {
    if !old.same_tensors(new) {
        return Vec::new();
    }
    let message = format!("`{to}` has the keys of `{from}`, with the same shapes and dtypes");
    let diagnostic = Diagnostic::warning("same-keys", message)
        .note("only what is recorded in a migrated checkpoint tells which of the two it is")
        .help("if it was the wrong checkpoint, delete what was written");
    vec![diagnostic]
}

/// Checks that files and headers can have a version's name.
fn name_is_good(version: &str, last: &str) -> Result<(), Failure> {
    let plain = |letter: char| letter.is_alphanumeric() || "._-+".contains(letter);
    let begins = version.starts_with(char::is_alphanumeric);
    if begins && version.chars().all(plain) && !version.contains("_to_") {
        return Ok(());
    }
    Err(bad_version(
        version,
        last,
        "it is to be made of letters, digits and `.`, `_`, `-`, `+`, without `_to_`",
    ))
}

fn bad_version(version: &str, last: &str, why: &str) -> Failure {
    let message = format!("`{}` cannot be the next version: {why}", printable(version));
    let help = format!("the last version is `{}`: name it by the next number", printable(last));
    Failure::new(Exit::Usage, Diagnostic::error("version-name", message).help(help))
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}
