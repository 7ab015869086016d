//! What applying and planning share: rules, input and target from the command line to a proved plan.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::formats::{self, Checkpoint, Limits, Part, StateDict};
use crate::keyset::{Difference, Key, KeySet};
use crate::plan::{self, Plan, Problem, ProblemKind, Stage};
use crate::quantity::counted;
use crate::rules::RuleSet;
use crate::source::Sources;
use crate::tensor::TensorSpec;

use super::beside::{Beside, OptimizerArg};
use super::chain::{self, Taken};
use super::limits::LimitArgs;
use super::mirrors;
use super::named::Named;
use super::record::{Record, Step};
use super::rule_file::{self, RuleFile, Values};
use super::target::{is_key_set_file, keyset_of, load_keyset, tied_keys};
use super::towards::{self, Target};
use super::{Exit, Failure, chained};

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

/// Files that are opened as one checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub inputs: &'a [Named],
    /// The dict of tensors that the command line names.
    pub at: Option<&'a str>,
    pub limits: &'a Limits,
}

/// Proved plans with what they were made from.
pub(super) struct Prepared {
    pub checkpoint: Checkpoint,
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
    pub outcome: Outcome,
    /// How many of the checkpoint's dicts, from the front, the rules run over; the others mirror the first.
    pub ruled: usize,
    /// What becomes of what the checkpoint holds besides weights.
    pub beside: Beside,
    /// Which rule files are run.
    pub course: Course,
    /// Whether the input is a key set, which has no data.
    pub keys_alone: bool,
    /// How long the inputs were opened.
    pub opening: Duration,
}

/// The rule files of a run, for the record and for what is told.
#[derive(Default)]
pub(super) struct Course {
    pub steps: Vec<Step>,
    /// What the checkpoint says of the migrations before.
    pub before: Option<Record>,
    /// The versions of a chain that is run, and how the first is known.
    pub versions: Vec<String>,
}

impl Course {
    /// The versions with arrows between them, where a chain is run.
    pub fn text(&self) -> Option<String> {
        (!self.versions.is_empty()).then(|| self.versions.join(" -> "))
    }
}

/// Rules, and where they lead, before they have met the checkpoint's dicts.
pub(super) struct Laid {
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
    /// The rules of each file with the keys that it leads to.
    pub stages: Vec<(RuleSet, Option<KeySet>)>,
    /// What all of them say of the file.
    pub merged: RuleSet,
    /// The key set of the version that the first starts from.
    pub marked: Option<KeySet>,
    /// Whether the checkpoint has other dtypes than that.
    pub any_dtype: bool,
    /// Keys of that version that were left to the model.
    pub absent: Vec<(Key, TensorSpec)>,
    pub course: Course,
}

/// What the rules come to for this checkpoint.
pub(super) enum Outcome {
    /// One plan for each of the checkpoint's dicts, the main one first.
    Plans(Vec<Plan>),
    /// The checkpoint has the target's keys already, and the rules do not apply to it.
    AlreadyMigrated { target: String },
}

impl Outcome {
    /// The plans, where there are some.
    pub fn plans(&self) -> &[Plan] {
        match self {
            Outcome::Plans(plans) => plans,
            Outcome::AlreadyMigrated { .. } => &[],
        }
    }

    /// Forgets how the outputs came to be, which is of no more use once the plans are applied.
    pub fn forget_moves(&mut self) {
        if let Outcome::Plans(plans) = self {
            plans.iter_mut().for_each(Plan::forget_moves);
        }
    }
}

/// Reads everything and proves the plans. Mirrors of the main dict follow it where the outputs `hold_mirrors`.
///
/// # Errors
/// Rules that do not parse or resolve, unreadable files, and what the plans cannot prove.
pub(super) fn prepare(args: &PlanArgs, hold_mirrors: bool) -> Result<Prepared, Failure> {
    let Some(rules_path) = args.rules.as_ref().filter(|_| !args.inputs.is_empty()) else {
        let message = "both a rule file and a checkpoint are needed";
        return Err(Failure::new(Exit::Usage, Diagnostic::error("usage", message)));
    };
    if rules_path.is_dir() {
        return chained::prepare(args, rules_path, hold_mirrors);
    }
    if let Some(option) = args.from.as_ref().map(|_| "--from").or(args.to.as_ref().map(|_| "--to")) {
        let message =
            format!("`{option}` needs a folder of rule files, and `{}` is one file", rules_path.display());
        let diagnostic = Diagnostic::error("usage", message).help("write `--rules FOLDER`");
        return Err(Failure::new(Exit::Usage, diagnostic));
    }
    let limits = args.limits.limits();
    let RuleFile { rules, sources, warnings, texts } = rule_file::load(rules_path, args.values(&limits))?;
    let dicts = Dicts::open(args.opening(&limits), &rules)?;
    let checkpoint = &dicts.checkpoint;
    let migration = rules.migration.as_ref();
    let main = match rules.steps.is_empty() {
        true => dicts.keys(checkpoint.main_dict()),
        false => dicts.main_keys()?,
    };
    let to = migration.map(|migration| migration.to.as_str());
    let target = towards::target(&args.target, (rules_path, to), &main, &limits)?;
    let from = migration.and_then(|migration| towards::beside(rules_path, &migration.from));
    let marked = from.map(|path| load_keyset(&path, None, &limits)).transpose()?;
    // A file that an earlier migration made is without what that left to the model.
    let before = record_of(checkpoint);
    let from = migration.map(|migration| migration.from.clone());
    let recorded = before.as_ref().filter(|before| before.to == from);
    let absent = marked.as_ref().map(|marked| chain::absent(marked, &main, recorded)).unwrap_or_default();
    if let Some(version) = &marked
        && !target.as_ref().is_some_and(|target| main.same_tensors(target))
        && let Some(problem) = wrong_version(&main, version, &absent)
    {
        return Err(Failure { exit: Exit::Different, diagnostics: vec![problem.diagnostic()], sources });
    }
    let to = migration.map(|migration| migration.to.clone());
    let taken = Taken { texts, from, to, reversed: false };
    let course = Course { steps: vec![Step::new(&taken, &sources)], before, versions: Vec::new() };
    let stages = vec![(rules.clone(), target)];
    let (merged, any_dtype) = (rules, false);
    let laid = Laid { sources, warnings, stages, merged, marked, any_dtype, absent, course };
    prove(args, laid, dicts, main, hold_mirrors)
}

/// What a checkpoint says of the migrations before; several together say nothing.
pub(super) fn record_of(checkpoint: &Checkpoint) -> Option<Record> {
    if checkpoint.further.is_empty() { Record::of(checkpoint) } else { None }
}

/// Proves the plans of all dicts, and what becomes of all else.
///
/// # Errors
/// What cannot be proved.
pub(super) fn prove(
    args: &PlanArgs,
    laid: Laid,
    dicts: Dicts,
    mut main: KeySet,
    hold_mirrors: bool,
) -> Result<Prepared, Failure> {
    let Laid { sources, mut warnings, stages, mut merged, marked, any_dtype, absent, course } = laid;
    let (keys_alone, opening) = (dicts.key_set.is_some(), dicts.opening);
    let checkpoint = &dicts.checkpoint;
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    let several = checkpoint.dicts.len() > 1;
    for (index, dict) in checkpoint.dicts.iter().enumerate() {
        let keys = match index {
            // The keys of a large model are as large as its plan.
            0 if !several => std::mem::take(&mut main),
            0 => main.clone(),
            _ => dicts.keys(dict),
        };
        let (name, whole_file) = dicts.role(index);
        // A mirror of the main dict leads where that leads; another dict has no target.
        let leads = index == 0 || (whole_file && keys.same_tensors(&main));
        let rules: Vec<RuleSet> = stages.iter().map(|(rules, _)| rules.of_dict(name, whole_file)).collect();
        let stages: Vec<Stage> = (1..)
            .zip(rules.iter().zip(&stages))
            .map(|(number, (rules, (_, target)))| Stage {
                rules,
                target: target.as_ref().filter(|_| leads),
                // Only what comes out must be as it is wanted: no step casts by itself.
                any_dtype: any_dtype && number < stages.len(),
            })
            .collect();
        let absent = if leads { absent.as_slice() } else { &[] };
        let planned = plan::plan_stages(&stages, &sources, keys, absent);
        let target = stages.last().and_then(|stage| stage.target);
        let failed = planned.failed.and_then(|failed| course.versions.get(failed..failed + 2));
        let step = failed.map(|pair| format!("in the step from `{}` to `{}`", pair[0], pair[1]));
        if index == 0
            && planned.already_migrated
            && let Some(target) = target
        {
            let outcome = Outcome::AlreadyMigrated { target: target.origin.clone() };
            let (checkpoint, ruled, beside) = (dicts.checkpoint, 1, Beside::default());
            return Ok(Prepared {
                checkpoint,
                sources,
                warnings,
                outcome,
                ruled,
                beside,
                course,
                keys_alone,
                opening,
            });
        }
        let told = |diagnostic: Diagnostic| match several {
            true => diagnostic.note(format!("in the dict `{}`", dict.at.name())),
            false => diagnostic,
        };
        warnings.extend(planned.warnings.iter().map(Problem::warning).map(told));
        let within = |diagnostic: Diagnostic| match &step {
            Some(step) => diagnostic.note(step.clone()),
            None => diagnostic,
        };
        problems.extend(planned.problems.iter().map(Problem::diagnostic).map(within).map(told));
        plans.extend(planned.plan);
    }
    let marked = marked.as_ref();
    let (mut checkpoint, ruled) = (dicts.checkpoint, plans.len());
    // Rules that name the dicts of the whole file leave the others alone, as does an output of one dict.
    let follows = hold_mirrors && merged.dicts.is_empty() && merged.unwrap.is_none() && !args.weights_only;
    if let Some(plan) = plans.first().filter(|plan| follows && problems.is_empty() && !plan.changes_nothing())
        && args.inputs.len() == 1
    {
        let mirrors = mirrors::follow(&args.inputs, checkpoint, plan, &args.limits.limits())?;
        checkpoint = mirrors.checkpoint;
        warnings.extend(mirrors.warnings);
        plans.extend(mirrors.plans);
    }
    // A key set does not say what else there is to change.
    let unproved = if keys_alone { std::mem::take(&mut merged.edits) } else { Vec::new() };
    let mut beside = Beside::prove(args, &merged, &checkpoint, plans.first(), marked, &mut problems);
    beside.edited.extend(unproved.iter().map(|_| None));
    beside.edits.extend(unproved.into_iter().map(|edit| edit.edit));
    if args.deny_warnings && !warnings.is_empty() {
        let message = format!("{} denied by `--deny-warnings`", counted(warnings.len(), "warning"));
        warnings.push(Diagnostic::error("denied-warnings", message));
        return Err(Failure { exit: Exit::Different, diagnostics: warnings, sources });
    }
    if !problems.is_empty() {
        warnings.append(&mut problems);
        return Err(Failure { exit: Exit::Different, diagnostics: warnings, sources });
    }
    let outcome = Outcome::Plans(plans);
    Ok(Prepared { checkpoint, sources, warnings, outcome, ruled, beside, course, keys_alone, opening })
}

/// An open checkpoint with what the rules and the command line say of its dicts.
pub(super) struct Dicts {
    pub checkpoint: Checkpoint,
    /// The names of the dicts, the same number as there are dicts unless the one was found by itself.
    names: Vec<String>,
    /// How many of them the whole file is about; the others are named by blocks alone.
    whole_file: usize,
    /// The input, where it is a key set: there is no checkpoint then but an empty one.
    key_set: Option<KeySet>,
    /// How long the inputs were opened.
    pub opening: Duration,
}

impl Dicts {
    pub fn open(Inputs { inputs, at, limits }: Inputs, rules: &RuleSet) -> Result<Dicts, Failure> {
        let begin = Instant::now();
        if let [Named { name: None, path }] = inputs
            && is_key_set_file(path)
        {
            let key_set = Some(load_keyset(path, at, limits)?);
            let name = rules.dicts.first().cloned().unwrap_or_else(|| ".".to_owned());
            let (checkpoint, names) = (Checkpoint::of_keys(path), vec![name]);
            return Ok(Dicts { checkpoint, names, whole_file: 1, key_set, opening: begin.elapsed() });
        }
        let mut names: Vec<String> = match (at, &rules.unwrap) {
            (Some(at), _) => vec![at.to_owned()],
            (None, Some(unwrap)) if rules.dicts.is_empty() => vec![unwrap.clone()],
            (None, _) => rules.dicts.clone(),
        };
        let blocks: Vec<&str> = rules.block_dicts();
        if names.is_empty() && !blocks.is_empty() {
            // What stands outside blocks is about the dict that is found by itself.
            names.push(open_all(inputs, &[], limits)?.main_dict().at.name());
        }
        let whole_file = names.len().max(1);
        for block in blocks {
            if !names.iter().any(|name| name == block) {
                names.push(block.to_owned());
            }
        }
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let checkpoint = open_all(inputs, &paths, limits)?;
        Ok(Dicts { checkpoint, names, whole_file, key_set: None, opening: begin.elapsed() })
    }

    /// The keys of a dict of the checkpoint.
    fn keys(&self, dict: &StateDict) -> KeySet {
        self.key_set.clone().unwrap_or_else(|| tied_keys(&self.checkpoint, dict))
    }

    /// The keys of the main dict.
    ///
    /// # Errors
    /// Where the file holds other things but no tensors.
    pub fn main_keys(&self) -> Result<KeySet, Failure> {
        self.key_set.clone().map_or_else(|| keyset_of(&self.checkpoint), Ok)
    }

    /// The name of a dict in the rules, and whether what stands outside blocks is about it.
    fn role(&self, index: usize) -> (&str, bool) {
        (self.names.get(index).map_or(".", String::as_str), index < self.whole_file)
    }
}

/// Opens the inputs as one checkpoint.
pub(super) fn open_all(inputs: &[Named], at: &[&str], limits: &Limits) -> Result<Checkpoint, Failure> {
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        let checkpoint = formats::open(&input.path, at, limits)?;
        parts.push(Part { name: input.name.clone(), checkpoint });
    }
    let none = || Failure::new(Exit::Usage, Diagnostic::error("usage", "a checkpoint is needed"));
    formats::join(parts)?.ok_or_else(none)
}

/// The problem of a checkpoint that is not the version which the header names. Dtypes may differ: a
/// half-precision copy of a version is that version.
///
/// `absent` keys are missing for a reason.
fn wrong_version(source: &KeySet, version: &KeySet, absent: &[(Key, TensorSpec)]) -> Option<Problem> {
    let difference = Difference::new(source, version);
    let missing = difference.missing.len().saturating_sub(absent.len());
    let unexpected = difference.unexpected.len();
    if missing == 0 && unexpected == 0 && difference.shape.is_empty() {
        return None;
    }
    let name = version.name.clone().unwrap_or_else(|| version.origin.clone());
    let problem = Problem::new(ProblemKind::NotTheVersion { version: name, missing, unexpected }, None)
        .note(format!("compared `{}` with {}", source.origin, version.origin))
        .help(format!("`migrate diff {} {}` shows where they differ", source.origin, version.origin));
    Some(problem)
}
