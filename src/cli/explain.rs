//! `migrate explain`: the way of a key through the statements, or what one statement did.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::keyset::{Key, fold, nearest};
use crate::plan::{Passage, Plan, Way};
use crate::printable::printable;
use crate::source::Sources;

use super::keyed::{Keyed, KeyedArgs};
use super::{Exit, Failure, Terminal, json_text};

const EXAMPLES: &str = "\
Examples:
  migrate explain v1_to_v2.rules old.ckpt model.decoder.blocks.0.bn.weight
  migrate explain v1_to_v2.rules v1.keys.yaml model.decoder.aspp.0.norm.weight   a key of the new model
  migrate explain v1_to_v2.rules old.ckpt --line 4                               all that a line did";

/// How many keys one side of a line shows before they are folded.
const FOLD_FROM: usize = 4;

/// Shows through which statements a key went, or where a key of the new model comes from
///
/// With `--line`, shows what the statement on that line did to all keys. Where the rules do not fit the
/// target yet, they are followed as far as they go, and what does not fit stands on standard error.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// The checkpoint, or a key set of it
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,
    /// The key, as the checkpoint or as the new model has it
    #[arg(value_name = "KEY", required_unless_present = "line", conflicts_with = "line")]
    key: Option<String>,
    /// A line of the rule file, for its statement instead of a key
    #[arg(long, value_name = "N")]
    line: Option<usize>,
    /// JSON to standard output
    #[arg(long)]
    json: bool,
}

/// Runs `migrate explain`.
pub fn run(args: &ExplainArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &ExplainArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let keyed = args.keyed.load(Some(&args.checkpoint))?;
    terminal.show(&keyed.warnings, &keyed.sources);
    let mut exit = Exit::Done;
    let plan = match keyed.plan(keyed.target.as_ref()) {
        Ok(plan) => plan,
        Err(problems) => {
            // Why a key is missing is asked most where the rules do not fit yet.
            let Ok(plan) = keyed.plan(None) else {
                return Err(Failure { exit: Exit::Different, diagnostics: problems, sources: keyed.sources });
            };
            exit = Exit::Different;
            terminal.show(&problems, &keyed.sources);
            plan
        }
    };
    let (text, value) = match (args.line, &args.key) {
        (Some(line), _) => of_line(line, &plan, &keyed)?,
        (None, Some(key)) => of_key(key, &plan, &keyed)?,
        (None, None) => return Ok(exit),
    };
    terminal.print(&if args.json { json_text::pretty(&value) } else { text })?;
    Ok(exit)
}

/// The ways of a key: from the source, and to the target.
fn of_key(key: &str, plan: &Plan, keyed: &Keyed) -> Result<(String, Value), Failure> {
    let left = plan.left().iter().any(|own| **own == *key);
    let (forward, backward) = (plan.way_of_source(key), plan.way_of_output(key));
    if forward.is_none() && backward.is_none() && !left {
        return Err(unknown_key(key, plan));
    }
    let sources = &keyed.sources;
    let mut value = json!({ "format": 1, "key": key });
    let mut parts = Vec::new();
    if let Some(way) = &forward {
        let spec = plan.source().get(key).map(|info| info.spec.to_string()).unwrap_or_default();
        let mut text = head(key, &format!("{spec}  in {}", plan.source().origin));
        if way.passages.is_empty() {
            text.push_str("  no statement touches it\n");
        }
        text.push_str(&passages(&way.passages, plan, sources));
        match way.ends.as_slice() {
            [] => text.push_str("  nothing of it is left\n"),
            [end] if way.passages.is_empty() && **end == *key => {}
            ends => ends.iter().for_each(|end| {
                let _ = writeln!(text, "  becomes {}  {}", printable(end), spec_of_output(end, plan));
            }),
        }
        parts.push(text);
        value["of_source"] = json_of(way, plan, sources);
    }
    // A key that keeps its name and is not touched has been told of already.
    let told = forward.as_ref().is_some_and(|way| way.passages.is_empty());
    if let Some(way) = &backward {
        value["of_output"] = json_of(way, plan, sources);
        if !told {
            let mut text = head(key, &format!("{}  in the output", spec_of_output(key, plan)));
            if let Some(tied) = tied_to(key, plan) {
                let _ = writeln!(text, "  the target ties it to {}", printable(tied));
            }
            for end in &way.ends {
                let spec = plan.source().get(end).map(|info| info.spec.to_string()).unwrap_or_default();
                let _ = writeln!(text, "  comes from {}  {spec}", printable(end));
            }
            if way.ends.is_empty() {
                text.push_str("  made from nothing\n");
            }
            text.push_str(&passages(&way.passages, plan, sources));
            parts.push(text);
        }
    }
    if left {
        value["left"] = json!(true);
        parts.push(head(key, "left to the model's own initial value"));
    }
    Ok((parts.join("\n"), value))
}

/// What the statement on a line did.
fn of_line(line: usize, plan: &Plan, keyed: &Keyed) -> Result<(String, Value), Failure> {
    let sources = &keyed.sources;
    let holds = |statement: &usize| {
        plan.applied().get(*statement).is_some_and(|applied| {
            let (first, last) = (sources.line_col(applied.span).0, sources.end_line_col(applied.span).0);
            (first..=last).contains(&line)
        })
    };
    let found: Vec<usize> = (0..plan.applied().len()).filter(holds).collect();
    if found.is_empty() {
        let message = format!("line {line} of the rule file holds no statement");
        return Err(Failure::new(Exit::Usage, Diagnostic::error("no-statement", message)));
    }
    let (mut text, mut values) = (String::new(), Vec::new());
    for statement in found {
        let passages_of = plan.passages_of(statement);
        values.push(json_of_statement(statement, &passages_of, plan, sources));
        if passages_of.is_empty() {
            text.push_str(&title(statement, plan, sources));
            text.push_str("        it moves no key\n");
        }
        text.push_str(&passages(&passages_of, plan, sources));
    }
    Ok((text, json!({ "format": 1, "line": line, "statements": values })))
}

/// The key that a way is about, in bold where that shows, and what is known of it.
fn head(key: &str, facts: &str) -> String {
    format!("\u{1b}[1m{}\u{1b}[0m  {}\n", printable(key), printable(facts))
}

fn spec_of_output(key: &str, plan: &Plan) -> String {
    let output = plan.outputs().iter().find(|output| *output.key == *key);
    output.map(|output| plan.arena().spec(output.expr).to_string()).unwrap_or_default()
}

/// The key whose other name the target calls an output.
fn tied_to<'p>(key: &str, plan: &'p Plan) -> Option<&'p Key> {
    let tied = plan.outputs().iter().find(|output| output.tied && *output.key == *key)?;
    let own = plan.outputs().iter().find(|other| !other.tied && other.expr == tied.expr)?;
    Some(&own.key)
}

/// The line that a statement stands on, and its text.
fn title(statement: usize, plan: &Plan, sources: &Sources) -> String {
    let Some(applied) = plan.applied().get(statement) else { return String::new() };
    let text: Vec<&str> = sources.slice(applied.span).split_whitespace().collect();
    format!("{:>4}  {}\n", sources.line_col(applied.span).0, printable(&text.join(" ")))
}

/// The statements of a way, each with what it did.
fn passages(passages: &[Passage], plan: &Plan, sources: &Sources) -> String {
    let mut text = String::new();
    let mut last = None;
    for passage in passages {
        if last != Some(passage.statement) {
            text.push_str(&title(passage.statement, plan, sources));
            last = Some(passage.statement);
        }
        let (from, to) = (side(&passage.from), side(&passage.to));
        let line = match (passage.from.is_empty(), passage.to.is_empty()) {
            (_, true) => format!("- {from}"),
            (true, _) => format!("+ {to}"),
            _ if passage.from == passage.to => format!("~ {to}"),
            _ => format!("{from} -> {to}"),
        };
        let _ = writeln!(text, "        {line}");
    }
    text
}

/// Keys in one line, many of them folded.
fn side(keys: &[Key]) -> String {
    let shown: Vec<String> = match keys.len() > FOLD_FROM {
        true => {
            fold(keys.iter().map(|key| &**key)).into_iter().map(|fold| printable(&fold.pattern)).collect()
        }
        false => keys.iter().map(|key| printable(key)).collect(),
    };
    shown.join(", ")
}

fn names(keys: &[Key]) -> Vec<&str> {
    keys.iter().map(|key| &**key).collect()
}

fn json_of(way: &Way, plan: &Plan, sources: &Sources) -> Value {
    let steps = way
        .passages
        .iter()
        .map(|passage| json_of_statement(passage.statement, std::slice::from_ref(passage), plan, sources));
    json!({ "statements": steps.collect::<Vec<Value>>(), "ends": names(&way.ends) })
}

fn json_of_statement(statement: usize, passages: &[Passage], plan: &Plan, sources: &Sources) -> Value {
    let Some(applied) = plan.applied().get(statement) else { return Value::Null };
    let moves =
        passages.iter().map(|passage| json!({ "from": names(&passage.from), "to": names(&passage.to) }));
    json!({
        "verb": applied.verb.name,
        "place": sources.place(applied.span),
        "text": sources.slice(applied.span),
        "moves": moves.collect::<Vec<Value>>(),
    })
}

fn unknown_key(key: &str, plan: &Plan) -> Failure {
    let message = format!("neither the source nor the output has a key `{}`", printable(key));
    let mut diagnostic = Diagnostic::error("unknown-key", message);
    let keys = plan.source().iter().map(|(key, _)| &**key);
    let near = nearest(key, keys.chain(plan.outputs().iter().map(|output| &*output.key)), 3);
    if !near.is_empty() {
        let near: Vec<String> = near.iter().map(|key| format!("`{}`", printable(key))).collect();
        diagnostic = diagnostic.help(format!("the nearest keys are {}", near.join(", ")));
    }
    Failure::new(Exit::Usage, diagnostic)
}
