//! Where a migration leads: the target as given, or beside the rules.

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::keyset::KeySet;

use super::named::Named;
use super::prepare::PlanArgs;
use super::target::load_keyset;
use super::{Exit, Failure};

/// The target: as given, or beside the rule file under the version's name.
pub(super) fn target(args: &PlanArgs, rules: &Path, to: Option<&str>) -> Result<Option<KeySet>, Failure> {
    if args.no_target {
        return Ok(None);
    }
    if !args.target.is_empty() {
        return targets(&args.target).map(Some);
    }
    if let Some(path) = to.and_then(|version| beside(rules, version)) {
        return load_keyset(&path, None).map(Some);
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
fn targets(named: &[Named]) -> Result<KeySet, Failure> {
    let mut all: Option<KeySet> = None;
    for Named { name, path } in named {
        let mut keyset = load_keyset(path, None)?;
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

/// The key set of a version beside the rule file, where there is one.
pub(super) fn beside(rules: &Path, version: &str) -> Option<PathBuf> {
    // A version is a name, never a path.
    if version.contains(['/', '\\']) {
        return None;
    }
    let path = rules.with_file_name(format!("{version}.keys.yaml"));
    path.is_file().then_some(path)
}
