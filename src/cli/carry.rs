//! Carries one migration out: from a proved plan to files in their places.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::apply::{self, ApplyError, Destination, Shards};
use crate::diagnostic::Diagnostic;
use crate::edit::path_text;
use crate::formats::{Checkpoint, Cut, Placement, Progress, Recording, ShardPart};
use crate::plan::Plan;
use crate::printable::printable;
use crate::source::Sources;

use super::done::Done;
use super::part;
use super::place::Place;
use super::plan_args::PlanArgs;
use super::prepare::prepare;
use super::prove::{Course, Outcome, Prepared};
use super::record::Record;
use super::stats::Stats;
use super::{Exit, Failure};

/// How outputs are written.
pub(super) struct Manner {
    pub placement: Placement,
    /// How many bytes of tensors a shard holds at most, where there are shards.
    pub max_shard: u64,
    /// Whether the output records what was done to it.
    pub record: bool,
    /// The part of the shards that is written, where others write the rest.
    pub cut: Option<Cut>,
}

/// Who is told how a migration goes.
pub(super) trait Watch: Progress {
    /// The plan is proved, and these are its warnings.
    fn warn(&self, warnings: &[Diagnostic], sources: &Sources);
    /// So many bytes of tensors are about to be written.
    ///
    /// # Errors
    /// Where there is no place to write them to.
    fn begin(&self, bytes: u64) -> Result<(), Failure>;
}

/// How a migration ended that did not fail.
pub(super) enum Ended {
    /// There is an output, of so many bytes.
    Migrated { bytes: u64, json: Value, text: String, stats: Stats },
    /// The checkpoint is what it should become already, and nothing is written.
    Already { json: Value, text: String },
}

/// Proves a plan and writes what comes of it.
///
/// # Errors
/// What cannot be proved, read or written; there is no output then.
pub(super) fn carry_out(
    args: &PlanArgs,
    place: &Place,
    manner: &Manner,
    watch: &dyn Watch,
) -> Result<Ended, Failure> {
    let &Manner { placement, max_shard, record: recording, cut } = manner;
    place.check(&placement)?;
    if let Some(cut) = cut {
        part::check(place, cut)?;
    }
    let begin = Instant::now();
    let mut prepared = prepare(args, place.holds_several_dicts())?;
    if prepared.keys_alone {
        let message = format!("`{}` is a key set and holds no tensors", prepared.checkpoint.path.display());
        let diagnostic = Diagnostic::error("usage", message);
        let help = "name a checkpoint; `migrate plan` plans for a key set";
        return Err(Failure::new(Exit::Usage, diagnostic.help(help)));
    }
    let planning = begin.elapsed().saturating_sub(prepared.opening);
    let Prepared { checkpoint, sources, warnings, outcome, beside, course, .. } = &prepared;
    if let (Some(edit), true) = (beside.edits.first(), beside.weights_only) {
        let message = format!("the rules change `{}`, which the output leaves out", path_text(&edit.path));
        let help = "leave `--weights-only` and `unwrap` out, or the statement";
        return Err(Failure::new(Exit::Usage, Diagnostic::error("value-path", message).help(help)));
    }
    watch.warn(warnings, sources);
    let plans = match outcome {
        Outcome::Plans(plans) => plans,
        Outcome::AlreadyMigrated { target } => return Ok(already(checkpoint, target)),
    };
    // A version that has the keys of the one before it is another version all the same.
    let chain = !course.versions.is_empty();
    let changes = chain || plans.iter().any(|plan| !plan.changes_nothing()) || beside.changes();
    let record = match (changes, recording) {
        (false, _) => Recording::Keep,
        // What it says of the input would not be so of the output.
        (true, false) => Recording::Remove,
        (true, true) => Recording::Write(record(course, plans)),
    };
    prepared.outcome.forget_moves();
    let Prepared { checkpoint, outcome, ruled, beside, course, .. } = &prepared;
    let plans = outcome.plans();
    let outputs = place.settle(checkpoint, &placement)?;
    let run = cut.map(|cut| part::digest(&prepared, plans, &record, max_shard).map(|run| (cut, run)));
    let run = run.transpose()?;
    let limits = args.limits.limits();
    let part = run.as_ref().map(|(cut, run)| ShardPart { cut: *cut, run, limits: &limits });
    let destinations = outputs.iter().map(|output| Destination {
        path: &output.path,
        name: output.name.as_deref(),
        format: output.format,
        shards: output.shards.as_ref().map(|names| Shards { names, max_bytes: max_shard, part }),
        placement,
        edits: &beside.edits,
        weights_only: beside.weights_only,
        record: record.clone(),
    });
    let destinations: Vec<Destination> = destinations.collect();
    watch.begin(apply::output_bytes(plans) / cut.map_or(1, |cut| cut.parts() as u64))?;
    let backup = place.back_up(&placement)?;
    let reports = apply::apply(plans, checkpoint, &beside.optimizers, &destinations, watch);
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => {
            if let Some(backup) = backup {
                backup.undo();
            }
            return Err(refusal(&error, prepared));
        }
    };
    let reports = &reports;
    let done =
        Done { plans, ruled: *ruled, checkpoint, beside, course, destinations: &destinations, reports };
    let bytes = reports.iter().map(|report| report.written.bytes()).sum();
    let stats = Stats::new(prepared.opening, planning, reports);
    Ok(Ended::Migrated { bytes, json: done.json(), text: done.text(), stats })
}

fn already(checkpoint: &Checkpoint, target: &str) -> Ended {
    let name = printable(&checkpoint.path.display().to_string());
    let text =
        format!("{name} has the keys of {} already: nothing to do, nothing written\n", printable(target));
    let json = json!({ "already_migrated": true, "input": checkpoint.path, "target": target });
    Ended::Already { json, text }
}

/// What an output says of how it was made.
fn record(course: &Course, plans: &[Plan]) -> String {
    let main = plans.first();
    let name = |path: &str| Some(Path::new(path).file_name()?.to_string_lossy().into_owned());
    let target = main.and_then(Plan::target).and_then(name);
    let left = main.map_or(&[][..], Plan::left).iter().map(|key| key.to_string());
    Record::after(course.before.as_ref(), &course.steps, target, left.collect()).text()
}

/// Why a proved plan could not be carried out, with the rule where one is to blame.
fn refusal(error: &ApplyError, prepared: Prepared) -> Failure {
    let (exit, diagnostic) = refused(error);
    Failure { exit, diagnostics: vec![diagnostic], sources: prepared.sources }
}

/// As [`refusal`], without the texts that it points into.
pub(super) fn refused(error: &ApplyError) -> (Exit, Diagnostic) {
    let exit = match error {
        ApplyError::Format(error) => Failure::exit_of(error),
        _ => Exit::Different,
    };
    let mut diagnostic = Diagnostic::error(error.code(), error.to_string());
    if let Some(span) = error.span() {
        diagnostic = diagnostic.primary(span, "");
    }
    diagnostic.helps.extend(error.help());
    (exit, diagnostic)
}
