//! `migrate diff`: how a checkpoint differs from a model.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::keyset::{Difference, Shown, moved_prefix};
use crate::printable::printable;
use crate::quantity::counted;

use super::limits::LimitArgs;
use super::target::load_keyset;
use super::{Exit, Failure, Terminal, json_text, load_error};

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
    #[arg(value_name = "B", required_unless_present = "error")]
    pub model: Option<PathBuf>,
    /// In the place of the model what PyTorch said when it did not load A: a file, or `-` for a paste
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "model_at"])]
    pub error: Option<PathBuf>,
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
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate diff`.
pub fn run(args: &DiffArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &DiffArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let limits = args.limits.limits();
    let checkpoint = load_keyset(&args.checkpoint, args.at.as_deref(), &limits)?;
    let (model, unnamed) = match (&args.model, &args.error) {
        (Some(model), _) => (load_keyset(model, args.model_at.as_deref(), &limits)?, 0),
        (None, Some(error)) => {
            let found = load_error::read(error)?;
            (load_error::model_keys(&found, &checkpoint, error)?, found.unnamed)
        }
        (None, None) => {
            return Err(Failure::new(Exit::Usage, Diagnostic::error("usage", "a model is needed")));
        }
    };
    let difference = Difference::new(&checkpoint, &model);
    if args.json {
        let mut value = json!({ "checkpoint": checkpoint.origin, "model": model.origin });
        if let (Value::Object(all), Value::Object(found)) = (&mut value, difference.to_json()) {
            all.extend(found);
        }
        terminal.print(&json_text::pretty(&value))?;
    } else {
        let shown = Shown { checkpoint: &checkpoint.origin, model: &model.origin, all: args.all };
        let mut text = difference.to_text(shown);
        if unnamed > 0 {
            let more = counted(usize::try_from(unnamed).unwrap_or(usize::MAX), "more key");
            text.push_str(&format!(
                "The text of the error is cut: it counts {more} and does not name them.\n"
            ));
        }
        if let Some(error) = &args.error {
            text.push_str(&format!("\n{}", next_step(&difference, &args.checkpoint, error)));
        }
        terminal.print(&text)?;
    }
    Ok(if difference.is_empty() { Exit::Done } else { Exit::Different })
}

/// What to do next, as text.
fn next_step(difference: &Difference, checkpoint: &Path, error: &Path) -> String {
    let name = printable(&checkpoint.display().to_string());
    let target = match error.as_os_str() == "-" {
        true => "err.txt   (the text in a file)".to_owned(),
        false => printable(&error.display().to_string()),
    };
    if difference.missing.is_empty() && difference.unexpected.is_empty() {
        return "next: shapes differ and no key does; `migrate explain` and the verbs `reshape`, `slice` and `pad` \
                are for that, if the model is the same\n"
            .to_owned();
    }
    let rule = match moved_prefix(difference) {
        Some((from, to)) => {
            let side =
                |prefix: &str| if prefix.is_empty() { "**".to_owned() } else { format!("{prefix}.**") };
            format!(
                "rename {} -> {}\n  # all missing and unexpected keys differ in this prefix alone",
                side(&from),
                side(&to)
            )
        }
        None => "rename OLD -> NEW   # for each part that moved; `drop` for what the model no longer has"
            .to_owned(),
    };
    format!(
        "next: write down what moved, in a rule file, say fix.rules\n\n  {rule}\n\nand see what it does, before anything \
         is written:\n\n  migrate plan --rules fix.rules {name} --target {target}\n"
    )
}
