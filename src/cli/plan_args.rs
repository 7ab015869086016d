//! The options of all commands that make a plan.

use std::path::PathBuf;

use clap::Args;

use crate::formats::Limits;

use super::inputs::Inputs;
use super::limits::LimitArgs;
use super::named::Named;
use super::rule_file::Values;
use super::towards::Target;

/// Which rules run over which checkpoint, towards which target.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The rule file, or a folder of `v1_to_v2.rules`, `v2.keys.yaml` and so on: the rule files that lead from
    /// the version of the checkpoint to the last one then run as one
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub rules: Option<PathBuf>,
    /// The checkpoint to migrate, or to plan a key set (.keys.yaml); several are shards of one, or, as `NAME=INPUT`, put their keys under
    /// their names
    #[arg(value_name = "[NAME=]INPUT", required = true, num_args = 1.., value_parser = Named::parser())]
    pub inputs: Vec<Named>,
    #[command(flatten)]
    pub target: Target,
    /// With a folder of rule files: the version to lead to, which may be an earlier one
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// With a folder of rule files: the version of the checkpoint; without it, the one that it was recorded as,
    /// else the one whose keys it has
    #[arg(long, value_name = "VERSION")]
    pub from: Option<String>,
    /// A value for a `let` of the rule file
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The model's config.json: rules use its values as `config.hidden_size`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What becomes of optimizer state: it follows the weights, or is left out
    #[arg(long, value_name = "WHAT", value_enum)]
    pub optimizer: Option<OptimizerArg>,
    /// Which keys an optimizer's parameters are, where neither names nor shapes show it:
    /// `optimizer_states.0=generator.**`; of one group of them, `optimizer.param_groups.1=**.bias`
    #[arg(long, value_name = "OPTIMIZER=PATTERNS")]
    pub params: Vec<String>,
    /// Write the state dict alone; what else the file holds is left out
    #[arg(long)]
    pub weights_only: bool,
    /// Which dict of tensors, where the file holds several (`.` is the whole file)
    #[arg(long, value_name = "PATH")]
    pub at: Option<String>,
    /// Treat warnings as errors
    #[arg(long)]
    pub deny_warnings: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl PlanArgs {
    /// What is given to the names of rule files.
    pub(super) fn values<'a>(&'a self, limits: &'a Limits) -> Values<'a> {
        Values { set: &self.set, config: self.config.as_deref(), limits }
    }

    /// What is opened.
    pub(super) fn opening<'a>(&'a self, limits: &'a Limits) -> Inputs<'a> {
        Inputs { inputs: &self.inputs, at: self.at.as_deref(), limits }
    }
}

/// What `--optimizer` says; the same words as the directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OptimizerArg {
    /// The state is rewritten with the weights.
    Follow,
    /// The state is left out.
    Drop,
}
