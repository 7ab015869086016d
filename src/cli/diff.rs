//! `migrate diff`: how a checkpoint differs from a model.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::keyset::{Difference, Shown};

use super::target::load_keyset;
use super::{Exit, Failure, Terminal};

/// Compares the keys of a checkpoint with those of a model
///
/// Says which keys are missing (the model has it, the checkpoint does not), which are unexpected
/// (the checkpoint has it, the model does not), and which have another shape or dtype. Ends with 0
/// where there is no difference and with 1 where there is one.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// The checkpoint: a checkpoint file or a .keys.yaml
    #[arg(value_name = "A")]
    pub checkpoint: PathBuf,
    /// The model: a checkpoint file of it or a .keys.yaml
    #[arg(value_name = "B")]
    pub model: PathBuf,
    /// Which dict of tensors of A, where the file holds several
    #[arg(long, value_name = "PATH")]
    pub at: Option<String>,
    /// Which dict of tensors of B, where the file holds several
    #[arg(long, value_name = "PATH")]
    pub model_at: Option<String>,
    /// JSON to standard output
    #[arg(long)]
    pub json: bool,
    /// A line for each key, nothing folded and nothing cut
    #[arg(long)]
    pub all: bool,
}

/// Runs `migrate diff`.
pub fn run(args: &DiffArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &DiffArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let checkpoint = load_keyset(&args.checkpoint, args.at.as_deref())?;
    let model = load_keyset(&args.model, args.model_at.as_deref())?;
    let difference = Difference::new(&checkpoint, &model);
    if args.json {
        let mut value = json!({ "checkpoint": checkpoint.origin, "model": model.origin });
        if let (Value::Object(all), Value::Object(found)) = (&mut value, difference.to_json()) {
            all.extend(found);
        }
        terminal.print(&format!("{value:#}\n"))?;
    } else {
        let shown = Shown { checkpoint: &checkpoint.origin, model: &model.origin, all: args.all };
        terminal.print(&difference.to_text(shown))?;
    }
    Ok(if difference.is_empty() { Exit::Done } else { Exit::Different })
}
