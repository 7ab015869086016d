//! `migrate --out-dir DIR`: several checkpoints, each by itself.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use clap::Args;

use crate::diagnostic::{Diagnostic, render};
use crate::formats::{FormatError, Progress};
use crate::printable::printable;
use crate::source::Sources;

use super::bar::Bar;
use super::carry::{Ended, Manner, Watch, carry_out};
use super::many_told::{Fate, File, Told};
use super::named::Named;
use super::plan_args::PlanArgs;
use super::prepare::prepare;
use super::prove::Outcome;
use super::{Exit, Failure, Terminal, json_text, out_dir, place, plan};

/// A thread of its own has less of a stack than the first one, on which all is tested.
const STACK: usize = 8 << 20;

/// What is said of several checkpoints.
#[derive(Args, Clone, Debug)]
pub struct ManyArgs {
    /// Migrate each input by itself, into this folder and under its name; inputs of the same name keep their
    /// folders
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "in_place", "max_shard_size"])]
    pub out_dir: Option<PathBuf>,
    /// With `--out-dir`: how many checkpoints are migrated at the same time
    #[arg(long, value_name = "N", requires = "out_dir", conflicts_with_all = ["output", "in_place"], value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// With `--out-dir`: begin no other checkpoint once one has failed
    #[arg(long, requires = "out_dir", conflicts_with_all = ["output", "in_place"])]
    fail_fast: bool,
}

/// Several checkpoints and what becomes of them.
pub(super) struct Job<'a> {
    pub plan: &'a PlanArgs,
    pub folder: &'a Path,
    pub args: &'a ManyArgs,
    pub manner: Manner,
    pub dry_run: bool,
    pub json: bool,
    pub quiet: bool,
    pub verbose: bool,
}

/// Migrates each checkpoint; ends as the worst of them did.
///
/// # Errors
/// Where it cannot be told where the outputs go. What fails for one checkpoint is told, and no error here.
pub(super) fn run(job: &Job, terminal: &Terminal) -> Result<Exit, Failure> {
    let inputs = &job.plan.inputs;
    let outputs = out_dir::outputs(inputs, job.folder)?;
    let sizes: Vec<u64> = inputs.iter().map(|input| bytes_of(&input.path)).collect();
    let total = sizes.iter().fold(0, |total: u64, &bytes| total.saturating_add(bytes));
    let run = Run {
        job,
        terminal,
        bar: Bar::new(total, job.quiet || job.json || job.dry_run),
        told: Mutex::new(HashSet::new()),
        stopped: AtomicBool::new(false),
    };
    let files: Vec<(&Named, &Path, u64)> = inputs
        .iter()
        .zip(&outputs)
        .zip(sizes)
        .map(|((input, output), bytes)| (input, output.as_path(), bytes))
        .collect();
    let fates: Vec<OnceLock<Fate>> = files.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while !run.stopped.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(&(input, output, bytes)), Some(fate)) = (files.get(index), fates.get(index)) else {
                break;
            };
            let _ = fate.set(run.one(input, output, bytes));
        }
    };
    let jobs = usize::from(job.args.jobs.unwrap_or(1)).min(files.len());
    thread::scope(|scope| {
        for _ in 1..jobs {
            // Where there can be no more threads, those that there are do all the work.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
        work();
    });
    run.bar.finish();
    let fates = fates.into_iter().map(|fate| fate.into_inner().unwrap_or(Fate::NotRun));
    let files =
        files.iter().zip(fates).map(|(&(input, output, _), fate)| File { input: &input.path, output, fate });
    let told = Told { files: files.collect() };
    if job.json {
        terminal.print(&json_text::pretty(&told.json()))?;
    } else if job.dry_run {
        terminal.print(&told.text())?;
    } else if !job.quiet {
        terminal.tell(&told.text());
    }
    Ok(told.exit())
}

/// What all of the checkpoints share while they are migrated.
struct Run<'a> {
    job: &'a Job<'a>,
    terminal: &'a Terminal,
    bar: Bar,
    /// Warnings that were shown: the same rules say the same of each checkpoint.
    told: Mutex<HashSet<String>>,
    stopped: AtomicBool,
}

impl Run<'_> {
    /// Migrates one checkpoint of so many bytes.
    fn one(&self, input: &Named, output: &Path, bytes: u64) -> Fate {
        let share = Share { run: self, input: &input.path, output, left: AtomicU64::new(bytes) };
        let fate = self.outcome(input, output, &share);
        share.finish();
        fate.unwrap_or_else(|failure| {
            if self.job.args.fail_fast {
                self.stopped.store(true, Ordering::Relaxed);
            }
            self.say(&input.path, &self.rendered(&failure.diagnostics, &failure.sources));
            let problems = failure.diagnostics.iter().map(|found| found.to_json(&failure.sources)).collect();
            let first = failure.diagnostics.iter().find(|found| found.is_error());
            let code = first.map(|found| found.code).unwrap_or_default();
            Fate::Failed { exit: failure.exit, code, problems }
        })
    }

    fn outcome(&self, input: &Named, output: &Path, share: &Share) -> Result<Fate, Failure> {
        let args = PlanArgs { inputs: vec![input.clone()], ..self.job.plan.clone() };
        let to = Named { name: None, path: output.to_owned() };
        let place = place::of(&args.inputs, &[to], false)?;
        if self.job.dry_run {
            place.check(&self.job.manner.placement)?;
            let prepared = prepare(&args, place.holds_several_dicts())?;
            share.warn(&prepared.warnings, &prepared.sources);
            let json = plan::to_json(&prepared);
            if self.job.verbose && !self.job.json {
                self.terminal.print(&format!("{}\n", plan::to_text(&prepared, true)))?;
            }
            return Ok(match prepared.outcome {
                Outcome::Plans(_) => Fate::Planned { json },
                Outcome::AlreadyMigrated { .. } => Fate::Already { json },
            });
        }
        Ok(match carry_out(&args, &place, &self.job.manner, share)? {
            Ended::Migrated { bytes, json, text, .. } => {
                if self.job.verbose && !self.job.json {
                    self.bar.above(|| self.terminal.tell(&text));
                }
                Fate::Migrated { bytes, json }
            }
            Ended::Already { json, .. } => Fate::Already { json },
        })
    }

    fn rendered(&self, diagnostics: &[Diagnostic], sources: &Sources) -> String {
        render(diagnostics, sources, self.terminal.color, self.terminal.width)
    }

    /// Says something of a checkpoint, in one piece, since others may have something to say too.
    fn say(&self, input: &Path, text: &str) {
        let text = format!("{}:\n{text}", printable(&input.display().to_string()));
        self.bar.above(|| self.terminal.tell(&text));
    }
}

/// What one checkpoint adds to the progress of all: as many bytes as its file has, whatever is written.
struct Share<'a> {
    run: &'a Run<'a>,
    input: &'a Path,
    output: &'a Path,
    left: AtomicU64,
}

impl Share<'_> {
    fn finish(&self) {
        self.run.bar.advance(self.left.swap(0, Ordering::Relaxed));
    }
}

impl Progress for Share<'_> {
    fn advance(&self, bytes: u64) {
        let take = |left: u64| Some(left.saturating_sub(bytes));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        self.run.bar.advance(bytes.min(before.unwrap_or(0)));
    }
}

impl Watch for Share<'_> {
    fn warn(&self, warnings: &[Diagnostic], sources: &Sources) {
        if self.run.job.quiet || warnings.is_empty() {
            return;
        }
        let text = self.run.rendered(warnings, sources);
        // A panic elsewhere leaves the set as it was.
        let fresh = self.run.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
        if fresh {
            self.run.say(self.input, &text);
        }
    }

    fn begin(&self, _: u64) -> Result<(), Failure> {
        // Not before: what fails leaves no empty folders.
        let Some(folder) = self.output.parent() else { return Ok(()) };
        let folder = folder.to_owned();
        std::fs::create_dir_all(&folder)
            .map_err(|source| FormatError::Io { path: folder, doing: "make", source }.into())
    }
}

/// The size of a checkpoint's files; of a folder, that of the files in it.
fn bytes_of(path: &Path) -> u64 {
    let size = |path: &Path| {
        std::fs::metadata(path).ok().filter(|found| found.is_file()).map_or(0, |found| found.len())
    };
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).fold(0, u64::saturating_add),
        Err(_) => size(path),
    }
}
