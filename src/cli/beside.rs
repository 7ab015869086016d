//! What becomes of what a checkpoint holds besides weights: optimizer state, and other values.

use crate::diagnostic::Diagnostic;
use crate::edit::Edit;
use crate::formats::Checkpoint;
use crate::keyset::KeySet;
use crate::optimizer::{self, Followed};
use crate::plan::Plan;
use crate::rules::{OptimizerMode, RuleSet};

use super::prepare::PlanArgs;

/// What `--optimizer` says; the same words as the directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OptimizerArg {
    /// The state is rewritten with the weights.
    Follow,
    /// The state is left out.
    Drop,
}

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
            Some(plan) => optimizer::follow(plan, &checkpoint.optimizers, marked).unwrap_or_else(|errors| {
                problems.extend(errors.iter().map(|error| {
                    let mut diagnostic = Diagnostic::error(error.code(), error.to_string());
                    diagnostic.helps.extend(error.helps());
                    diagnostic
                }));
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
