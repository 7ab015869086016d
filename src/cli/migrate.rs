//! `migrate --rules FILE INPUT -o OUT`: the main job.

use std::sync::OnceLock;

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::formats::{Cut, Placement, Progress, Replace};
use crate::quantity::bytes_of;
use crate::source::Sources;

use super::bar::Bar;
use super::carry::{Ended, Manner, Watch, carry_out};
use super::many::{self, ManyArgs};
use super::named::Named;
use super::plan::Form;
use super::plan_args::PlanArgs;
use super::{Exit, Failure, Terminal, json_text, place};

/// The main job's arguments.
#[derive(Args, Clone, Debug)]
pub struct MigrateArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// The new checkpoint; its extension says the format (.safetensors, or .pt .pth .ckpt .bin). A folder
    /// (`out/`) or an index (`model.safetensors.index.json`) is written in shards. Several outputs take the
    /// keys under their names: `-o r0=a.pt -o r1=b.pt`
    #[arg(short, long, value_name = "[NAME=]OUT", required_unless_present_any = ["in_place", "dry_run", "out_dir"], conflicts_with = "in_place", value_parser = Named::parser())]
    output: Vec<Named>,
    #[command(flatten)]
    many: ManyArgs,
    /// Write shards of at most this many bytes of tensors, such as 500MB or 2GiB; 5GB where only the name
    /// of the output asks for shards
    #[arg(long, value_name = "SIZE", conflicts_with = "in_place", value_parser = shard_size)]
    max_shard_size: Option<u64>,
    /// Write but part K of N of the shards, counted from 1: every part may be a job on a machine of its own.
    /// `migrate finish OUT` makes one checkpoint of all of them
    #[arg(long, value_name = "K/N", conflicts_with_all = ["in_place", "force", "dry_run", "out_dir"], value_parser = str::parse::<Cut>)]
    shard: Option<Cut>,
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
    /// Tell where the time went, and how the bytes came into the output
    #[arg(long, conflicts_with_all = ["out_dir", "dry_run"])]
    stats: bool,
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
    let manner = Manner {
        placement: Placement {
            // A part looks itself for what it may not replace: other parts have been there.
            replace: match (args.in_place, args.force || args.shard.is_some()) {
                (true, _) => Replace::InPlace,
                (false, true) => Replace::Force,
                (false, false) => Replace::Never,
            },
            sync: !args.no_sync,
        },
        max_shard: args.max_shard_size.unwrap_or(MAX_SHARD_SIZE),
        record: !args.no_record,
        cut: args.shard,
    };
    if let Some(folder) = &args.many.out_dir {
        let job = many::Job {
            plan: &args.plan,
            folder,
            args: &args.many,
            manner,
            dry_run: args.dry_run,
            json: args.json,
            quiet: args.quiet,
            verbose: args.verbose,
        };
        return many::run(&job, terminal);
    }
    if args.dry_run {
        let form = if args.json { Form::Json } else { Form::Text { all: args.verbose } };
        return super::plan::show(&args.plan, form, terminal);
    }
    let place = match args.in_place {
        true => place::in_place(&args.plan.inputs, args.backup.as_deref().unwrap_or(".bak"))?,
        false => place::of(&args.plan.inputs, &args.output, args.max_shard_size.is_some())?,
    };
    let alone = Alone { args, terminal, bar: OnceLock::new() };
    let ended = carry_out(&args.plan, &place, &manner, &alone);
    alone.finish();
    let (mut json, mut text, stats) = match ended? {
        Ended::Migrated { json, text, stats, .. } => (json, text, Some(stats)),
        Ended::Already { json, text } => (json, text, None),
    };
    if let Some(stats) = stats.filter(|_| args.stats) {
        json["stats"] = stats.json();
        text.push_str(&stats.text());
    }
    if args.json {
        terminal.print(&json_text::pretty(&json))?;
    } else if !args.quiet {
        terminal.tell(&text);
    }
    Ok(Exit::Done)
}

/// Shows how the migration of a single checkpoint goes.
struct Alone<'a> {
    args: &'a MigrateArgs,
    terminal: &'a Terminal,
    /// There is one once it is known how long it is.
    bar: OnceLock<Bar>,
}

impl Alone<'_> {
    fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish();
        }
    }
}

impl Watch for Alone<'_> {
    fn warn(&self, warnings: &[Diagnostic], sources: &Sources) {
        if !self.args.quiet {
            self.terminal.show(warnings, sources);
        }
    }

    fn begin(&self, bytes: u64) -> Result<(), Failure> {
        self.bar.get_or_init(|| Bar::new(bytes, self.args.quiet || self.args.json));
        Ok(())
    }
}

impl Progress for Alone<'_> {
    fn advance(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.advance(bytes);
        }
    }
}
