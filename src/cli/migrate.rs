//! `migrate --rules FILE INPUT -o OUT`: the main job.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::apply::{self, ApplyError, Destination, Report};
use crate::diagnostic::{Diagnostic, printable};
use crate::formats::{Checkpoint, Format, Placement, Replace};
use crate::plan::Plan;
use crate::quantity::{counted, size};

use super::bar::Bar;
use super::prepare::{Outcome, PlanArgs, Prepared, prepare};
use super::{Exit, Failure, Terminal, place};

/// The main job's arguments.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// The new checkpoint; its extension says the format (.safetensors, or .pt .pth .ckpt .bin)
    #[arg(short, long, value_name = "OUT", required_unless_present_any = ["in_place", "dry_run"], conflicts_with = "in_place")]
    output: Option<PathBuf>,
    /// Put the new checkpoint in the place of the old one, which is kept under another name
    #[arg(long, requires = "backup")]
    in_place: bool,
    /// What is added to the old one's name: `.bak`
    #[arg(long, value_name = "SUFFIX", requires = "in_place")]
    backup: Option<String>,
    /// Write the state dict alone; what else the file holds is left out
    #[arg(long)]
    weights_only: bool,
    /// Replace the output where it exists
    #[arg(long)]
    force: bool,
    /// Do not wait until the output is on the disk
    #[arg(long)]
    no_sync: bool,
    /// Do not record in the output what was done to it
    #[arg(long)]
    no_record: bool,
    /// Prove the plan and print it; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// Print the whole plan
    #[arg(short, long)]
    verbose: bool,
}

/// Runs the main job.
pub fn run(args: &MigrateArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &MigrateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.dry_run {
        return super::plan::show(&args.plan, args.json, args.verbose, terminal);
    }
    let place = place::of(args.plan.input.as_deref(), args.output.as_deref(), args.backup.as_deref())?;
    let format = match &args.output {
        Some(output) => Some(Format::from_extension(output)?),
        None => None,
    };
    let placement = Placement {
        replace: if args.force || args.in_place { Replace::Force } else { Replace::Never },
        sync: !args.no_sync,
    };
    place.check(&placement)?;
    let prepared = prepare(&args.plan)?;
    let Prepared { checkpoint, sources, warnings, outcome } = &prepared;
    if !args.quiet {
        terminal.show(warnings, sources);
    }
    let plans = match outcome {
        Outcome::Plans(plans) => plans,
        Outcome::AlreadyMigrated { target } => return already(args, checkpoint, target, terminal),
    };
    let changes = plans.iter().any(|plan| !plan.changes_nothing());
    let record = (!args.no_record && changes).then(|| record(&args.plan, plans));
    let destination = Destination {
        path: place.output(),
        format: format.unwrap_or(checkpoint.format),
        placement,
        weights_only: args.weights_only,
        record,
    };
    let bar = Bar::new(apply::output_bytes(plans), args.quiet || args.json);
    let backup = place.back_up()?;
    let report = apply::apply(plans, checkpoint, &destination, &bar);
    bar.finish();
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            backup.undo();
            return Err(refusal(&error, prepared));
        }
    };
    let done = Done { args, plans, checkpoint, destination: &destination, report: &report };
    done.tell(terminal)?;
    Ok(Exit::Done)
}

/// A migration that was carried out.
struct Done<'a> {
    args: &'a MigrateArgs,
    plans: &'a [Plan],
    checkpoint: &'a Checkpoint,
    destination: &'a Destination<'a>,
    report: &'a Report,
}

impl Done<'_> {
    /// Tells what was done.
    fn tell(&self, terminal: &Terminal) -> Result<(), Failure> {
        if self.args.json {
            return terminal.print(&format!("{:#}\n", self.json()));
        }
        if !self.args.quiet {
            terminal.tell(&self.text());
        }
        Ok(())
    }

    /// What else the file holds, kept or left out.
    fn others(&self) -> (Vec<&str>, Vec<&str>) {
        let others = self.checkpoint.others.iter().map(|other| other.path.as_str()).collect();
        if self.args.weights_only { (Vec::new(), others) } else { (others, Vec::new()) }
    }

    fn json(&self) -> Value {
        let (kept, left_out) = self.others();
        let dicts: Vec<Value> = self
            .plans
            .iter()
            .zip(&self.checkpoint.dicts)
            .map(|(plan, dict)| {
                let counts = plan.counts();
                json!({
                    "at": dict.at.name(),
                    "tensors": plan.outputs().len(),
                    "kept": counts.kept,
                    "renamed": counts.renamed,
                    "computed": counts.computed,
                    "filled": counts.filled,
                    "dropped": counts.dropped,
                    "target": plan.target(),
                })
            })
            .collect();
        json!({
            "output": self.destination.path,
            "bytes": self.report.written.bytes,
            "dicts": dicts,
            "others_kept": kept,
            "others_left_out": left_out,
        })
    }

    fn text(&self) -> String {
        let name = printable(&self.destination.path.display().to_string());
        let bytes = size(self.report.written.bytes);
        let mut text = match self.plans {
            [plan] => format!("{name}: {}, {bytes}\n", plan.summary()),
            plans => {
                let lines = plans.iter().zip(&self.checkpoint.dicts);
                let lines = lines.map(|(plan, dict)| format!("  {}: {}\n", dict.at.name(), plan.summary()));
                format!("{name}, {bytes}\n{}", lines.collect::<String>())
            }
        };
        let (kept, left_out) = self.others();
        for (what, names) in [("kept as it is", &kept), ("left out", &left_out)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
                text.push_str(&format!("{what}: {}\n", names.join(", ")));
            }
        }
        if !self.report.tied_left_out.is_empty() {
            let keys = self.report.tied_left_out.join(", ");
            text.push_str(&format!("left out, the model ties them itself: {}\n", printable(&keys)));
        }
        let changes = self.plans.iter().any(|plan| !plan.changes_nothing());
        if changes && kept.iter().any(|name| name.contains("optim")) {
            text.push_str(
                "note: optimizer state is by parameter order and stays as it is; it fits if the new model has \
                 its parameters in the old order\n",
            );
        }
        if changes && self.plans.iter().any(|plan| plan.target().is_none()) {
            text.push_str("note: there was no target, so nothing shows that a model will load it\n");
        }
        let unproved: usize = self.plans.iter().map(|plan| plan.unproved().len()).sum();
        if unproved > 0 {
            let statements = counted(unproved, "statement");
            text.push_str(&format!(
                "note: the shapes do not prove {statements}; `migrate plan` names them\n"
            ));
        }
        text
    }
}

fn already(
    args: &MigrateArgs,
    checkpoint: &Checkpoint,
    target: &str,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    if args.json {
        let value = json!({ "already_migrated": true, "input": checkpoint.path, "target": target });
        terminal.print(&format!("{value:#}\n"))?;
    } else if !args.quiet {
        let name = printable(&checkpoint.path.display().to_string());
        terminal.tell(&format!(
            "{name} has the keys of {} already: nothing to do, nothing written\n",
            printable(target)
        ));
    }
    Ok(Exit::Done)
}

/// What an output says of how it was made. No time and no path, so that equal runs give equal bytes.
fn record(args: &PlanArgs, plans: &[Plan]) -> String {
    let name =
        |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let value = json!({
        "rules": name(args.rules.as_deref()),
        "target": name(plans.first().and_then(Plan::target).map(Path::new)),
        "tool": format!("migrate {}", env!("CARGO_PKG_VERSION")),
    });
    value.to_string()
}

/// Why a proved plan could not be carried out, with the rule where one is to blame.
fn refusal(error: &ApplyError, prepared: Prepared) -> Failure {
    let exit = match error {
        ApplyError::Format(error) => Failure::exit_of(error),
        _ => Exit::Different,
    };
    let mut diagnostic = Diagnostic::error(error.code(), error.to_string());
    if let Some(span) = error.span() {
        diagnostic = diagnostic.primary(span, "");
    }
    diagnostic.helps.extend(error.help());
    Failure { exit, diagnostics: vec![diagnostic], sources: prepared.sources }
}
