//! What becomes of what a checkpoint holds besides weights: optimizer state, and other values.

use std::collections::HashSet;

use crate::diagnostic::Diagnostic;
use crate::edit::Edit;
use crate::formats::Checkpoint;
use crate::keyset::KeySet;
use crate::optimizer::{self, Followed, Told};
use crate::plan::Plan;
use crate::quantity::counted;
use crate::rules::{Matcher, OptimizerMode, RuleSet};

use super::plan_args::{OptimizerArg, PlanArgs};
use super::rule_file;

/// What becomes of what a checkpoint holds besides weights.
#[derive(Default)]
pub(super) struct Beside {
    /// What becomes of each optimizer; nothing where all stay as they are.
    pub optimizers: Vec<Followed>,
    /// Changes to other values.
    pub edits: Vec<Edit>,
    /// What each of the values was, where there was one.
    pub edited: Vec<Option<String>>,
    /// Whether the dict of tensors is the whole output.
    pub weights_only: bool,
}

impl Beside {
    /// Proves it against the checkpoint, whose weights a plan is applied to where there is one; `marked` is a
    /// key set of its version that may say which tensors are parameters. Notes what cannot be.
    pub fn prove(
        args: &PlanArgs,
        rules: &RuleSet,
        checkpoint: &Checkpoint,
        plan: Option<&Plan>,
        marked: Option<&KeySet>,
        problems: &mut Vec<Diagnostic>,
    ) -> Beside {
        let weights_only = args.weights_only || rules.unwrap.is_some();
        let edits: Vec<Edit> = rules.edits.iter().map(|edit| edit.edit.clone()).collect();
        let edited = checkpoint.check_edits(&edits).unwrap_or_else(|error| {
            let mut diagnostic = Diagnostic::error("value-path", error.to_string());
            if let Some(edit) = rules.edits.get(error.index) {
                diagnostic = diagnostic.primary(edit.span, "");
            }
            diagnostic.helps.extend(error.help());
            problems.push(diagnostic);
            Vec::new()
        });
        let drops = match args.optimizer {
            Some(arg) => arg == OptimizerArg::Drop,
            None => rules.optimizer == Some(OptimizerMode::Drop),
        };
        let optimizers = match plan {
            _ if weights_only => Vec::new(),
            _ if drops => checkpoint.optimizers.iter().map(|_| Followed::Dropped).collect(),
            None => Vec::new(),
            Some(plan) => follow(args, checkpoint, plan, marked).unwrap_or_else(|errors| {
                problems.extend(errors);
                Vec::new()
            }),
        };
        Beside { optimizers, edits, edited, weights_only }
    }

    /// Whether an output differs from its source here.
    pub fn changes(&self) -> bool {
        !self.edits.is_empty() || self.optimizers.iter().any(|optimizer| !matches!(optimizer, Followed::Kept))
    }
}

/// What becomes of the optimizers, where they follow the weights.
fn follow(
    args: &PlanArgs,
    checkpoint: &Checkpoint,
    plan: &Plan,
    marked: Option<&KeySet>,
) -> Result<Vec<Followed>, Vec<Diagnostic>> {
    let told = args.params.iter().map(|text| told(text, checkpoint, plan));
    let told = told.collect::<Result<Vec<Told>, Diagnostic>>().map_err(|error| vec![error])?;
    optimizer::follow(plan, &checkpoint.optimizers, marked, &told).map_err(|errors| {
        let diagnostics = errors.iter().map(|error| {
            let mut diagnostic = Diagnostic::error(error.code(), error.to_string());
            diagnostic.helps.extend(error.helps());
            diagnostic
        });
        diagnostics.collect()
    })
}

/// What `--params OPTIMIZER=PATTERNS` tells.
///
/// # Errors
/// Where there is no such optimizer or group, and where the patterns are none or match no tensor.
fn told(text: &str, checkpoint: &Checkpoint, plan: &Plan) -> Result<Told, Diagnostic> {
    let wrong = |what: String| Diagnostic::error("params", what);
    let (place, patterns) = text
        .split_once('=')
        .ok_or_else(|| wrong(format!("`{text}` is not of the form OPTIMIZER=PATTERNS")))?;
    let optimizer = |path: &str| checkpoint.optimizers.iter().find(|optimizer| optimizer.path == path);
    let of_group = |place: &str| {
        let (path, group) = place.rsplit_once(".param_groups.")?;
        let group = group.parse().ok()?;
        optimizer(path).filter(|optimizer| group < optimizer.groups.len()).map(|own| (own, Some(group)))
    };
    let place_of = optimizer(place).map(|own| (own, None)).or_else(|| of_group(place));
    let (optimizer, group) = place_of.ok_or_else(|| {
        let paths = checkpoint
            .optimizers
            .iter()
            .map(|own| format!("`{}` ({})", own.path, counted(own.groups.len(), "group")));
        let paths: Vec<String> = paths.collect();
        wrong(format!("the checkpoint has no optimizer or group of parameters `{place}`"))
            .note(format!("its optimizers are {}", paths.join(", ")))
    })?;
    let found = rule_file::patterns(patterns).ok_or_else(|| {
        wrong(format!("`{patterns}` are no patterns of keys"))
            .help("`generator.**`, or several with commas between")
    })?;
    let matchers: Vec<Matcher> = found.iter().map(Matcher::new).collect();
    let keys = plan.source().iter().enumerate();
    let matched = keys.filter(|(_, (key, _))| matchers.iter().any(|matcher| matcher.is_match(key)));
    let tensors: HashSet<usize> = matched.map(|(index, _)| index).collect();
    if tensors.is_empty() {
        return Err(wrong(format!("`{patterns}` matches no key")));
    }
    Ok(Told { optimizer: optimizer.path.clone(), group, tensors })
}
