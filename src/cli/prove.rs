//! From rules and an open checkpoint to proved plans, and to what becomes of all else that the checkpoint holds.

use std::time::Duration;

use crate::diagnostic::Diagnostic;
use crate::formats::Checkpoint;
use crate::keyset::{Key, KeySet};
use crate::plan::{self, Plan, Problem, Stage};
use crate::quantity::counted;
use crate::rules::RuleSet;
use crate::source::Sources;
use crate::tensor::TensorSpec;

use super::beside::Beside;
use super::inputs::Dicts;
use super::plan_args::PlanArgs;
use super::record::{Record, Step};
use super::{Exit, Failure, mirrors};

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

impl Prepared {
    /// Where there is nothing to do.
    pub fn already(
        dicts: Dicts,
        target: String,
        (sources, warnings): (Sources, Vec<Diagnostic>),
        course: Course,
    ) -> Prepared {
        Prepared {
            keys_alone: dicts.key_set.is_some(),
            opening: dicts.opening,
            checkpoint: dicts.checkpoint,
            sources,
            warnings,
            outcome: Outcome::AlreadyMigrated { target },
            ruled: 1,
            beside: Beside::default(),
            course,
        }
    }
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
            return Ok(Prepared::already(dicts, target.origin.clone(), (sources, warnings), course));
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
