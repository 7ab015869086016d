//! `migrate plan`: proves and shows what would be done, and does none of it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::plan_args::PlanArgs;
use super::prepare::prepare;
use super::prove::{Outcome, Prepared};
use super::{Exit, Failure, Terminal, json_text, keys, picture};
use crate::formats::StateDict;
use crate::optimizer::Followed;
use crate::plan::Plan;
use crate::printable::printable;
use crate::quantity::counted;

/// Proves a migration and shows what it would do, from headers alone; writes no checkpoint
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Print every line of keys
    #[arg(short, long)]
    verbose: bool,
    /// Draw the plan as a page for a browser: both trees of modules, and which keys became which
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "verbose"])]
    html: Option<PathBuf>,
    /// Replace the page where it exists
    #[arg(long, requires = "html")]
    force: bool,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    /// As text; `all` is every line of keys.
    Text { all: bool },
    /// As JSON.
    Json,
    /// As a page in a file, which `force` replaces.
    Page { path: &'a Path, force: bool },
}

/// Runs `migrate plan`.
pub fn run(args: &ShowArgs, terminal: &Terminal) -> Exit {
    let form = match &args.html {
        Some(path) => Form::Page { path, force: args.force },
        None if args.json => Form::Json,
        None => Form::Text { all: args.verbose },
    };
    terminal.end(show(&args.plan, form, terminal), args.json)
}

/// Proves and shows a plan.
pub(super) fn show(args: &PlanArgs, form: Form, terminal: &Terminal) -> Result<Exit, Failure> {
    let prepared = prepare(args, true)?;
    match (form, &prepared.outcome) {
        (Form::Json, _) => terminal.print(&json_text::pretty(&to_json(&prepared)))?,
        (Form::Page { path, force }, Outcome::Plans(plans)) => {
            terminal.show(&prepared.warnings, &prepared.sources);
            keys::write(path, &picture::page(to_json(&prepared), plans), force)?;
            let summary = plans.first().map_or_else(String::new, |plan| format!(": {}", plan.summary()));
            terminal.tell(&format!("wrote {}{summary}\n", printable(&path.display().to_string())));
        }
        (Form::Page { .. }, Outcome::AlreadyMigrated { .. }) => terminal.print(&to_text(&prepared, false))?,
        (Form::Text { all }, outcome) => {
            if let Outcome::Plans(_) = outcome {
                terminal.show(&prepared.warnings, &prepared.sources);
            }
            terminal.print(&to_text(&prepared, all))?;
        }
    }
    Ok(Exit::Done)
}

/// A plan for machines.
pub(super) fn to_json(prepared: &Prepared) -> Value {
    let Prepared { checkpoint, sources, warnings, outcome, ruled, beside, course, .. } = prepared;
    let plans = match outcome {
        Outcome::Plans(plans) => plans,
        Outcome::AlreadyMigrated { target } => {
            return json!({ "already_migrated": true, "input": checkpoint.path, "target": target });
        }
    };
    let dicts = plans.iter().zip(&checkpoint.dicts).map(|(plan, dict)| {
        let mut value = plan.to_json(sources);
        if let Some(fields) = value.as_object_mut() {
            fields.shift_insert(0, "at".to_owned(), dict.at.name().into());
        }
        value
    });
    let mut dicts: Vec<Value> = dicts.collect();
    for mirror in dicts.iter_mut().skip(*ruled) {
        mirror["mirrors"] = checkpoint.main_dict().at.name().into();
    }
    let warnings: Vec<Value> = warnings.iter().map(|warning| warning.to_json(sources)).collect();
    let values = beside
        .edits
        .iter()
        .zip(&beside.edited)
        .map(|(edit, was)| json!({ "edit": edit.to_string(), "was": was }));
    let values: Vec<Value> = values.collect();
    json!({
        "format": 1,
        "source": checkpoint.path,
        "versions": course.versions,
        "dicts": dicts,
        "values": values,
        "warnings": warnings,
    })
}

/// A plan for people.
pub(super) fn to_text(prepared: &Prepared, verbose: bool) -> String {
    let Prepared { checkpoint, sources, outcome, ruled, beside, course, .. } = prepared;
    let plans = match outcome {
        Outcome::Plans(plans) => plans,
        Outcome::AlreadyMigrated { target } => {
            let name = printable(&checkpoint.path.display().to_string());
            return format!("{name} has the keys of {} already: nothing to do\n", printable(target));
        }
    };
    let mut text = String::new();
    for (plan, dict) in plans.iter().zip(&checkpoint.dicts).take(*ruled) {
        text.push_str(&printable(&checkpoint.path.display().to_string()));
        let at = dict.at.to_string();
        if !at.is_empty() {
            text.push_str(&format!(", at {}", printable(&at)));
        }
        if let Some(target) = plan.target() {
            text.push_str(&format!(", towards {}", printable(target)));
        }
        if let Some(way) = course.text() {
            text.push_str(&format!("\n{}", printable(&way)));
        }
        text.push_str("\n\n");
        text.push_str(&plan.render(sources, verbose));
    }
    for (plan, dict) in plans.iter().zip(&checkpoint.dicts).skip(*ruled) {
        text.push_str(&format!("\n{}\n", mirror(checkpoint.main_dict(), dict, plan)));
    }
    for (optimizer, followed) in checkpoint.optimizers.iter().zip(&beside.optimizers) {
        let fate = match (followed, followed.params()) {
            (Followed::Dropped, _) => "is left out".to_owned(),
            (_, None) => "stays as it is: the parameters keep their order".to_owned(),
            (_, Some(params)) => format!("follows the weights: {}", counted(params, "parameter")),
        };
        text.push_str(&format!("\nthe state of the optimizer at {} {fate}\n", printable(&optimizer.path)));
    }
    for (edit, was) in beside.edits.iter().zip(&beside.edited) {
        let was = was.as_ref().map_or_else(String::new, |was| format!("  (it was {was})"));
        text.push_str(&format!("\nchanges: {}{}\n", printable(&edit.to_string()), printable(&was)));
    }
    let others: Vec<String> = checkpoint.others.iter().map(|other| printable(&other.path)).collect();
    if !others.is_empty() {
        let fate = if beside.weights_only { "left out" } else { "not touched" };
        text.push_str(&format!("\n{fate}: {}\n", others.join(", ")));
    }
    text
}

/// What is said of a dict that follows the main one.
pub(super) fn mirror(main: &StateDict, dict: &StateDict, plan: &Plan) -> String {
    let (name, main) = (printable(&dict.at.name()), printable(&main.at.name()));
    format!("{name} mirrors {main} and follows it: {}", plan.summary())
}
