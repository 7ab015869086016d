//! `migrate verify`: whether one file is exactly what rules make of another.

use clap::Args;
use serde_json::{Value, json};

use crate::apply::{self, ApplyError, Deviation, Verified};
use crate::diagnostic::Diagnostic;
use crate::formats::{self, Checkpoint, Format, FormatError, Limits};
use crate::plan::Plan;
use crate::printable::printable;
use crate::quantity::counted;

use super::bar::Bar;
use super::carry::refused;
use super::plan_args::PlanArgs;
use super::prepare::prepare;
use super::prove::{Outcome, Prepared};
use super::{Exit, Failure, Terminal, json_text};

const EXAMPLES: &str = "\
Examples:
  migrate verify --rules v1_to_v2.rules old.ckpt new.ckpt
  migrate verify --rules migrations/ --to v3 old.ckpt v3.safetensors

Every tensor of NEW is compared byte for byte, a piece at a time, with what the rules make of OLD; so are the \
moments of optimizers. What else the files hold, such as the epoch, is not compared.

Exit codes: 0 where NEW is what the rules make; 1 where it is not, or where the rules do not fit OLD";

/// How many deviations are shown.
const SHOWN: usize = 12;

/// Checks that NEW is exactly what the rules make of OLD
#[derive(Args, Clone, Debug)]
#[command(
    after_help = EXAMPLES,
    override_usage = "migrate verify --rules <FILE|DIR> [OPTIONS] <[NAME=]OLD>... <NEW>"
)]
pub struct VerifyArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Which dict of tensors of NEW, where it holds several and not that of OLD (`.` is the whole file)
    #[arg(long, value_name = "PATH")]
    new_at: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `migrate verify`.
pub fn run(args: &VerifyArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &VerifyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let usage = |message: &str| {
        let help = "write `migrate verify --rules FILE OLD NEW`";
        Failure::new(Exit::Usage, Diagnostic::error("usage", message).help(help))
    };
    let mut plan_args = args.plan.clone();
    let new = plan_args.inputs.pop().filter(|_| !plan_args.inputs.is_empty());
    let new = new.ok_or_else(|| usage("two checkpoints are needed, the old one and the new one"))?;
    if new.name.is_some() {
        return Err(usage("the new checkpoint, which stands last, has no name"));
    }
    let holds_one = Format::from_extension(&new.path).is_ok_and(|format| format == Format::Safetensors);
    let prepared = prepare(&plan_args, !holds_one)?;
    if prepared.keys_alone {
        return Err(usage("the old one is a key set and holds no tensors"));
    }
    let plans = match &prepared.outcome {
        Outcome::Plans(plans) => plans,
        Outcome::AlreadyMigrated { target } => {
            let old = prepared.checkpoint.path.display();
            let message = format!("`{old}` has the keys of {target} already: the rules make nothing of it");
            return Err(Failure::new(Exit::Different, Diagnostic::error("not-verified", message)));
        }
    };
    let at = args.new_at.as_deref();
    let new = open_new(&prepared, plans, (&new.path, at), &args.plan.limits.limits())?;
    let bar = Bar::new(apply::output_bytes(plans), args.quiet || args.json);
    let compared = compare(&prepared, plans, &new, &bar);
    bar.finish();
    let verified = match compared {
        Ok(verified) => verified,
        Err(error) => {
            let (exit, diagnostic) = refused(&error);
            return Err(Failure { exit, diagnostics: vec![diagnostic], sources: prepared.sources });
        }
    };
    if args.json {
        terminal.print(&json_text::pretty(&to_json(&verified, &prepared.checkpoint, &new)))?;
        return Ok(if verified.deviations.is_empty() { Exit::Done } else { Exit::Different });
    }
    let name = printable(&new.path.display().to_string());
    if !verified.deviations.is_empty() {
        return Err(Failure::new(Exit::Different, deviating(&verified, &name)));
    }
    if !args.quiet {
        let old = printable(&prepared.checkpoint.path.display().to_string());
        let opaque = match verified.opaque {
            0 => String::new(),
            count => format!("; {} of other kinds not looked into", counted(count, "value")),
        };
        let same = counted(verified.same, "tensor");
        terminal
            .tell(&format!("{name} is what the rules make of {old}: {same} equal, byte for byte{opaque}\n"));
    }
    Ok(Exit::Done)
}

/// Opens the new file: with the dicts of the old one, unless it holds but one.
fn open_new(
    prepared: &Prepared,
    plans: &[Plan],
    (path, at): (&std::path::Path, Option<&str>),
    limits: &Limits,
) -> Result<Checkpoint, Failure> {
    let names: Vec<String> = prepared.checkpoint.dicts.iter().map(|dict| dict.at.name()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if at.is_some() || plans.len() > 1 {
        return Ok(formats::open(path, at.map_or(names, |at| vec![at]).as_slice(), limits)?);
    }
    match formats::open(path, &[], limits) {
        Err(FormatError::ManyDicts { .. }) => Ok(formats::open(path, &names, limits)?),
        opened => Ok(opened?),
    }
}

fn compare(prepared: &Prepared, plans: &[Plan], new: &Checkpoint, bar: &Bar) -> Result<Verified, ApplyError> {
    let old = &prepared.checkpoint;
    let mut verified = Verified::default();
    for (index, (plan, dict)) in plans.iter().zip(&old.dicts).enumerate() {
        let found = new.dicts.get(index).unwrap_or_else(|| new.main_dict());
        verified.add(apply::verify(plan, dict, found, bar)?);
    }
    // The state dict alone, as a safetensors file holds it, has no optimizers.
    let alone = new.dicts.iter().all(|dict| dict.at.0.is_empty());
    if !prepared.beside.weights_only && !alone {
        verified.add(apply::verify_optimizers(old, &prepared.beside.optimizers, new, bar)?);
    }
    Ok(verified)
}

/// A deviation in a line.
fn line(deviation: &Deviation) -> String {
    let text = match deviation {
        Deviation::Missing { key } => format!("`{key}` is missing"),
        Deviation::Unexpected { key } => format!("`{key}` is unexpected: the rules do not make it"),
        Deviation::Spec { key, found, wanted } => format!("`{key}` is {found}, and the rules make {wanted}"),
        Deviation::Element { key, place, found, wanted } => {
            let place: Vec<String> = place.iter().map(u64::to_string).collect();
            format!("`{key}` differs first at [{}]: {found}, and the rules make {wanted}", place.join(", "))
        }
    };
    printable(&text)
}

/// The error of a file that is another one.
fn deviating(verified: &Verified, name: &str) -> Diagnostic {
    let count = verified.deviations.len();
    let all = counted(count, "key");
    let message = format!("`{name}` is not what the rules make: {all} of another kind or content");
    let mut lines: Vec<String> = verified.deviations.iter().take(SHOWN).map(line).collect();
    if count > SHOWN {
        lines.push(format!("… and {} (--json lists them all)", counted(count - SHOWN, "more key")));
    }
    let same = format!("{} equal, byte for byte", counted(verified.same, "tensor"));
    Diagnostic::error("not-verified", message).note(lines.join("\n")).note(same)
}

fn to_json(verified: &Verified, old: &Checkpoint, new: &Checkpoint) -> Value {
    let deviations = verified.deviations.iter().map(|deviation| match deviation {
        Deviation::Missing { key } => json!({ "key": key, "what": "missing" }),
        Deviation::Unexpected { key } => json!({ "key": key, "what": "unexpected" }),
        Deviation::Spec { key, found, wanted } => {
            json!({ "key": key, "what": "spec", "found": found.to_string(), "wanted": wanted.to_string() })
        }
        Deviation::Element { key, place, found, wanted } => {
            json!({ "key": key, "what": "element", "place": place, "found": found, "wanted": wanted })
        }
    });
    json!({
        "format": 1,
        "old": old.path,
        "new": new.path,
        "equal": verified.deviations.is_empty(),
        "same": verified.same,
        "not_looked_into": verified.opaque,
        "deviations": deviations.collect::<Vec<Value>>(),
    })
}
