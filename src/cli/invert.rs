//! `migrate invert`: the way back.

use std::path::PathBuf;

use clap::Args;

use crate::diagnostic::Diagnostic;
use crate::invert::{self, Forward, Proof};
use crate::keyset::{Key, fold};
use crate::printable::printable;
use crate::quantity::counted;

use super::keyed::KeyedArgs;
use super::keys::write;
use super::{Exit, Failure, Terminal};

const EXAMPLES: &str = "\
Examples:
  migrate invert v1_to_v2.rules -o v2_to_v1.rules             with both key sets beside it
  migrate invert fix.rules old.ckpt --target new.ckpt         to standard output

Exit codes: 0 where the way back fits both key sets, also where it says that something is lost; \
1 where the rules or their way back do not fit";

/// How many folded lines of keys the report shows of one kind.
const SHOWN: usize = 8;

/// Writes the rules that lead back, and proves them on both key sets
///
/// The reverse of the resolved plan: what each statement did to these keys is undone, from the last to the
/// first, and put into readable lines again. What cannot be had back stands in the file as `# lossy: …`,
/// and its keys are left to the model. The report says which keys come back bit for bit.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InvertArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// The keys that the rules start from: a checkpoint or a .keys.yaml; without it, `v1.keys.yaml` beside a
    /// rule file whose header says `migration v1 -> v2`
    #[arg(value_name = "SOURCE")]
    source: Option<PathBuf>,
    /// Where to write the rules; without it, to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output where it exists
    #[arg(long)]
    force: bool,
}

/// Runs `migrate invert`.
pub fn run(args: &InvertArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), false)
}

fn work(args: &InvertArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let keyed = args.keyed.load(args.source.as_deref())?;
    terminal.show(&keyed.warnings, &keyed.sources);
    let plan = match keyed.plan(keyed.target.as_ref()) {
        Ok(plan) => plan,
        Err(diagnostics) => {
            return Err(Failure { exit: Exit::Different, diagnostics, sources: keyed.sources });
        }
    };
    let rules = keyed.rules.of_dict(&keyed.dict, true);
    let name = args.keyed.rules.file_name().map(|name| name.to_string_lossy().into_owned());
    let forward = Forward {
        name: &name.unwrap_or_default(),
        rules: &rules,
        sources: &keyed.sources,
        plan: &plan,
        target: keyed.target.as_ref(),
    };
    let inverse = invert::invert(&forward);
    let proof = match inverse.proof {
        Ok(proof) => proof,
        Err((mut diagnostics, sources)) => {
            let message = "the way back does not fit the keys that the rules start from";
            diagnostics.push(Diagnostic::error("no-way-back", message));
            return Err(Failure { exit: Exit::Different, diagnostics, sources });
        }
    };
    match &args.output {
        Some(output) => {
            write(output, &inverse.text, args.force)?;
            let name = printable(&output.display().to_string());
            terminal.tell(&format!("wrote {name}: {}\n", report(&proof)));
        }
        None => {
            terminal.print(&inverse.text)?;
            terminal.tell(&format!("proved on both key sets: {}\n", report(&proof)));
        }
    }
    Ok(Exit::Done)
}

/// What comes back, and how.
fn report(proof: &Proof) -> String {
    let all = proof.exact.len() + proof.numeric.len() + proof.changed.len() + proof.left.len();
    let mut text = format!("{} of {} back bit for bit", proof.exact.len(), counted(all, "key"));
    for (keys, what) in [
        (&proof.numeric, "back up to rounding"),
        (&proof.changed, "back with other values"),
        (&proof.left, "not had back"),
    ] {
        if !keys.is_empty() {
            text.push_str(&format!("\n{} {what}:{}", keys.len(), listing(keys)));
        }
    }
    text
}

fn listing(keys: &[Key]) -> String {
    let folds = fold(keys.iter().map(|key| &**key));
    let shown = folds.iter().take(SHOWN).map(|fold| {
        let count = if fold.count > 1 { format!("  {} keys", fold.count) } else { String::new() };
        format!("\n  {}{count}", printable(&fold.pattern))
    });
    let mut text: String = shown.collect();
    if folds.len() > SHOWN {
        let rest: usize = folds[SHOWN..].iter().map(|fold| fold.count).sum();
        text.push_str(&format!("\n  … and {}", counted(rest, "more key")));
    }
    text
}
