//! Rules over key sets alone: for the commands that write no checkpoint.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::keyset::KeySet;
use crate::plan::{self, Plan, Problem};
use crate::rules::RuleSet;
use crate::source::Sources;

use super::limits::LimitArgs;
use super::rule_file::{self, RuleFile, Values};
use super::target::{is_key_set_file, load_keyset};
use super::towards::{self, Target};
use super::{Exit, Failure};

/// Which rules run over which keys, towards which target.
#[derive(Args, Clone, Debug)]
pub struct KeyedArgs {
    /// The rule file
    #[arg(value_name = "RULES")]
    pub rules: PathBuf,
    #[command(flatten)]
    target: Target,
    /// A value for a `let` of the rule file
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The model's config.json: rules use its values as `config.hidden_size`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which dict of tensors, where the checkpoint holds several (`.` is the whole file)
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Rules with the keys that they run over and lead to.
pub(super) struct Keyed {
    /// The rules as the file says them.
    pub rules: RuleSet,
    /// The dict that the keys are of, as rules name it.
    pub dict: String,
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
    pub source: KeySet,
    pub target: Option<KeySet>,
}

impl KeyedArgs {
    /// Reads the rules, the source (as given, or the key set of the version that the header names) and the
    /// target.
    ///
    /// # Errors
    /// Rules that do not parse or resolve, unreadable files, and no source or no target.
    pub(super) fn load(&self, source: Option<&Path>) -> Result<Keyed, Failure> {
        let limits = self.limits.limits();
        let values = Values { set: &self.set, config: self.config.as_deref(), limits: &limits };
        let RuleFile { rules, sources, warnings, .. } = rule_file::load(&self.rules, values)?;
        let migration = rules.migration.as_ref();
        let from = migration.map(|migration| migration.from.as_str());
        let beside = from.and_then(|version| towards::beside(&self.rules, version));
        let Some(path) = source.map(Path::to_owned).or(beside) else {
            return Err(no_source(&self.rules, from));
        };
        let named = rules.dicts.first().map(String::as_str).filter(|_| !is_key_set_file(&path));
        let source = load_keyset(&path, self.at.as_deref().or(named), &limits)?;
        let to = migration.map(|migration| migration.to.as_str());
        let target = towards::target(&self.target, (&self.rules, to), &source, &limits)?;
        let dict = self.at.clone().or_else(|| rules.dicts.first().cloned());
        let dict = dict.unwrap_or_else(|| ".".to_owned());
        Ok(Keyed { rules, dict, sources, warnings, source, target })
    }
}

impl Keyed {
    /// Plans the rules over the keys, towards the target or without it.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn plan(&self, target: Option<&KeySet>) -> Result<Plan, Vec<Diagnostic>> {
        let rules = self.rules.of_dict(&self.dict, true);
        let planned = plan::plan(&rules, &self.sources, self.source.clone(), target);
        let told = |problems: &[Problem]| problems.iter().map(Problem::diagnostic).collect();
        planned.plan.ok_or_else(|| told(&planned.problems))
    }
}

fn no_source(rules: &Path, version: Option<&str>) -> Failure {
    let message = match version {
        Some(version) => format!("no source: there is no `{version}.keys.yaml` beside `{}`", rules.display()),
        None => format!("no source: `{}` has no header that names its versions", rules.display()),
    };
    let diagnostic = Diagnostic::error("no-source", message)
        .help("name the keys that the rules start from: a checkpoint, or a key set (`migrate keys CKPT`)");
    Failure::new(Exit::Usage, diagnostic)
}
