//! Where a migration leads: the target as given, or beside the rules.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::formats::Limits;
use crate::keyset::KeySet;

use super::named::Named;
use super::target::load_keyset;
use super::{Exit, Failure, load_error};

/// Where a migration leads, as the command line says.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The keys that the model wants: a checkpoint, a .keys.yaml, or the text of the error that PyTorch raised
    /// (`NAME=FILE` for each of several
    /// outputs); without it, `v2.keys.yaml` beside a rule file whose header says `migration v1 -> v2`
    #[arg(long, value_name = "[NAME=]FILE", conflicts_with = "no_target", value_parser = Named::parser())]
    target: Vec<Named>,
    /// Go without a target: nothing then shows that a model will load the result
    #[arg(long)]
    no_target: bool,
}

/// The target: as given, or beside the rule file under the version's name. The text of a loading error tells it
/// from the keys of the source, which did not load.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub(super) fn target(
    given: &Target,
    (rules, to): (&Path, Option<&str>),
    source: &KeySet,
    limits: &Limits,
) -> Result<Option<KeySet>, Failure> {
    if given.no_target {
        return Ok(None);
    }
    if !given.target.is_empty() {
        return targets(&given.target, source, limits).map(Some);
    }
    if let Some(path) = to.and_then(|version| beside(rules, version)) {
        return load_keyset(&path, None, limits).map(Some);
    }
    let message = match to {
        Some(version) => format!("no target: there is no `{version}.keys.yaml` beside `{}`", rules.display()),
        None => "no target: nothing says which keys the model wants".to_owned(),
    };
    let diagnostic = Diagnostic::error("no-target", message)
        .help("write `--target FILE`: a checkpoint of the new model, or its key set (`migrate keys CKPT -o v2.keys.yaml`)")
        .help("write `--no-target` to go without, knowingly");
    Err(Failure::new(Exit::Usage, diagnostic))
}

/// The key sets that are given, each with its keys under its name.
fn targets(named: &[Named], source: &KeySet, limits: &Limits) -> Result<KeySet, Failure> {
    let mut all: Option<KeySet> = None;
    for Named { name, path } in named {
        let mut keyset = keyset(path, source, limits)?;
        if let Some(name) = name {
            keyset = keyset.under(&format!("{name}."));
        }
        let Some(all) = &mut all else {
            all = Some(keyset);
            continue;
        };
        for (key, info) in keyset.keys {
            if all.keys.contains_key(&key) {
                let message = format!("two targets have the key `{key}`");
                let diagnostic = Diagnostic::error("target", message);
                let help = "with several outputs, give each target the output's name: `--target r0=a.pt --target r1=b.pt`";
                return Err(Failure::new(Exit::Usage, diagnostic.help(help)));
            }
            all.keys.insert(key, info);
        }
        all.origin = format!("{}, {}", all.origin, keyset.origin);
    }
    Ok(all.unwrap_or_else(|| KeySet::new("")))
}

/// The keys of a model, from a checkpoint, a key set, or what PyTorch said of the source.
fn keyset(path: &Path, source: &KeySet, limits: &Limits) -> Result<KeySet, Failure> {
    let loaded = load_keyset(path, None, limits);
    if loaded.is_ok() || !path.is_file() {
        return loaded;
    }
    match load_error::find(path)? {
        Some(found) if found.unnamed > 0 => {
            let message = format!(
                "`{}` is cut: it counts {} more keys and does not name them",
                path.display(),
                found.unnamed
            );
            let help = "a target must be whole: take the text from where it was raised, or `migrate keys` of the model";
            Err(Failure::new(Exit::Usage, Diagnostic::error("no-load-error", message).help(help)))
        }
        Some(found) => load_error::model_keys(&found, source, path),
        None => loaded,
    }
}

/// The key set of a version beside the rule file, where there is one.
pub(super) fn beside(rules: &Path, version: &str) -> Option<PathBuf> {
    // A version is a name, never a path.
    if version.contains(['/', '\\']) {
        return None;
    }
    let path = rules.with_file_name(format!("{version}.keys.yaml"));
    path.is_file().then_some(path)
}
