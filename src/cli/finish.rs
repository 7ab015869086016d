//! `migrate finish OUT`: one checkpoint of the parts that jobs have written.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::formats::{self, Finished};
use crate::printable::printable;
use crate::quantity::{counted, size};

use super::limits::LimitArgs;
use super::{Exit, Failure, Terminal, json_text};

const EXAMPLES: &str = "\
Examples:
  migrate --rules v1_to_v2.rules old/ -o new/ --shard 1/2
  migrate --rules v1_to_v2.rules old/ -o new/ --shard 2/2     at the same time, on any machine
  migrate finish new/                                         when both are done

It proves that every shard is there, as it was written, and of one run of the same rules over the same source; only \
then it writes the index, with which readers begin. What is missing is named with the parts that are to be run again.

Exit codes: 0 where the checkpoint is whole, now or before; 1 where parts are missing or damaged; 2 where there are none";

/// Make one checkpoint of the parts that `--shard K/N` wrote
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FinishArgs {
    /// The folder that all parts were written into, or the index that it is to have
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
    /// Do not wait until the index is on the disk
    #[arg(long)]
    no_sync: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `migrate finish`.
pub fn run(args: &FinishArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &FinishArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let finished = formats::finish(&args.output, !args.no_sync, &args.limits.limits())?;
    if args.json {
        let files = match &finished {
            Finished::Now { written, .. } => written.files.as_slice(),
            Finished::Before { .. } => &[],
        };
        let outputs: Vec<_> =
            files.iter().map(|file| json!({ "path": file.path, "bytes": file.bytes })).collect();
        let before = matches!(finished, Finished::Before { .. });
        let json = json!({ "format": 1, "already_finished": before, "outputs": outputs });
        terminal.print(&json_text::pretty(&json))?;
        return Ok(Exit::Done);
    }
    let name = printable(&args.output.display().to_string());
    let text = match finished {
        Finished::Now { written, tensors } => {
            let (tensors, shards) = (counted(tensors, "tensor"), written.shards().unwrap_or(0));
            format!("{name}: {tensors}, {} in {}\n", size(written.bytes()), counted(shards, "shard"))
        }
        Finished::Before { shards } => {
            let shards = counted(shards, "shard");
            format!("{name} has an index, and all of its {shards}: nothing to do\n")
        }
    };
    if !args.quiet {
        terminal.tell(&text);
    }
    Ok(Exit::Done)
}
