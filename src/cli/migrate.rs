//! `migrate --rules FILE INPUT -o OUT`: the main job.

use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::apply::{self, ApplyError, Destination, Shards};
use crate::diagnostic::{Diagnostic, printable};
use crate::edit::path_text;
use crate::formats::{Checkpoint, Placement, Recording, Replace};
use crate::plan::Plan;
use crate::quantity::bytes_of;

use super::bar::Bar;
use super::done::Done;
use super::named::Named;
use super::plan::Form;
use super::prepare::{Course, Outcome, PlanArgs, Prepared, prepare};
use super::record::Record;
use super::{Exit, Failure, Terminal, place};

/// The main job's arguments.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// The new checkpoint; its extension says the format (.safetensors, or .pt .pth .ckpt .bin). A folder
    /// (`out/`) or an index (`model.safetensors.index.json`) is written in shards. Several outputs take the
    /// keys under their names: `-o r0=a.pt -o r1=b.pt`
    #[arg(short, long, value_name = "[NAME=]OUT", required_unless_present_any = ["in_place", "dry_run"], conflicts_with = "in_place", value_parser = Named::parser())]
    output: Vec<Named>,
    /// Write shards of at most this many bytes of tensors, such as 500MB or 2GiB; 5GB where only the name
    /// of the output asks for shards
    #[arg(long, value_name = "SIZE", conflicts_with = "in_place", value_parser = shard_size)]
    max_shard_size: Option<u64>,
    /// Put the new checkpoint in the place of the old one, which is kept under another name
    #[arg(long, requires = "backup")]
    in_place: bool,
    /// What is added to the old one's name: `.bak`
    #[arg(long, value_name = "SUFFIX", requires = "in_place")]
    backup: Option<String>,
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

/// How many bytes of tensors a shard holds where nothing is said, as in Hugging Face's libraries.
const MAX_SHARD_SIZE: u64 = 5_000_000_000;

fn shard_size(text: &str) -> Result<u64, String> {
    let bytes = bytes_of(text).filter(|&bytes| bytes > 0);
    bytes.ok_or_else(|| "it is no size such as 500MB, 5GB or 2GiB".to_owned())
}

/// Runs the main job.
pub fn run(args: &MigrateArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &MigrateArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.dry_run {
        let form = if args.json { Form::Json } else { Form::Text { all: args.verbose } };
        return super::plan::show(&args.plan, form, terminal);
    }
    let place = match args.in_place {
        true => place::in_place(&args.plan.inputs, args.backup.as_deref().unwrap_or(".bak"))?,
        false => place::of(&args.plan.inputs, &args.output, args.max_shard_size)?,
    };
    let placement = Placement {
        replace: if args.force || args.in_place { Replace::Force } else { Replace::Never },
        sync: !args.no_sync,
    };
    place.check(&placement)?;
    let prepared = prepare(&args.plan, place.holds_several_dicts())?;
    if prepared.keys_alone {
        let message = format!("`{}` is a key set and holds no tensors", prepared.checkpoint.path.display());
        let diagnostic = Diagnostic::error("usage", message);
        let help = "name a checkpoint; `migrate plan` plans for a key set";
        return Err(Failure::new(Exit::Usage, diagnostic.help(help)));
    }
    let Prepared { checkpoint, sources, warnings, outcome, ruled, beside, course, .. } = &prepared;
    if let (Some(edit), true) = (beside.edits.first(), beside.weights_only) {
        let message = format!("the rules change `{}`, which the output leaves out", path_text(&edit.path));
        let help = "leave `--weights-only` and `unwrap` out, or the statement";
        return Err(Failure::new(Exit::Usage, Diagnostic::error("value-path", message).help(help)));
    }
    if !args.quiet {
        terminal.show(warnings, sources);
    }
    let plans = match outcome {
        Outcome::Plans(plans) => plans,
        Outcome::AlreadyMigrated { target } => return already(args, checkpoint, target, terminal),
    };
    // A version that has the keys of the one before it is another version all the same.
    let chain = !course.versions.is_empty();
    let changes = chain || plans.iter().any(|plan| !plan.changes_nothing()) || beside.changes();
    let record = match (changes, args.no_record) {
        (false, _) => Recording::Keep,
        // What it says of the input would not be so of the output.
        (true, true) => Recording::Remove,
        (true, false) => Recording::Write(record(course, plans)),
    };
    let outputs = place.settle(checkpoint, &placement)?;
    let max_bytes = args.max_shard_size.unwrap_or(MAX_SHARD_SIZE);
    let destinations = outputs.iter().map(|output| Destination {
        path: &output.path,
        name: output.name.as_deref(),
        format: output.format,
        shards: output.shards.as_ref().map(|names| Shards { names, max_bytes }),
        placement,
        edits: &beside.edits,
        weights_only: beside.weights_only,
        record: record.clone(),
    });
    let destinations: Vec<Destination> = destinations.collect();
    let bar = Bar::new(apply::output_bytes(plans), args.quiet || args.json);
    let backup = place.back_up()?;
    let reports = apply::apply(plans, checkpoint, &beside.optimizers, &destinations, &bar);
    bar.finish();
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => {
            backup.undo();
            return Err(refusal(&error, prepared));
        }
    };
    let reports = &reports;
    let done =
        Done { plans, ruled: *ruled, checkpoint, beside, course, destinations: &destinations, reports };
    if args.json {
        terminal.print(&format!("{:#}\n", done.json()))?;
    } else if !args.quiet {
        terminal.tell(&done.text());
    }
    Ok(Exit::Done)
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
