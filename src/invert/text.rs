//! The way back as the text of a rule file.

use std::fmt::Write as _;

use super::act::Act;
use super::candidate::concrete;
use super::generalise;
use super::line::Line;
use super::walk::{Back, Stage, statements};
use super::{Forward, trial};
use crate::edit::{Change, path_text};
use crate::keyset::Key;
use crate::plan;
use crate::rules::{OptimizerMode, Statement};
use crate::syntax;

/// How much of a statement a remark shows.
const MAX_SHOWN: usize = 70;

/// The whole file.
pub(super) fn file(forward: &Forward, back: &Back) -> String {
    let mut text = String::new();
    if let Some(migration) = &forward.rules.migration {
        let why = format!("the way back of {}", forward.name);
        let (from, to) = (&migration.to, &migration.from);
        let _ = writeln!(text, "migration {from} -> {to} \"{}\"", quoted(&why));
    } else {
        remark(&mut text, &format!("the way back of {}", forward.name));
    }
    if let Some(first) = forward.rules.dicts.first()
        && forward.rules.unwrap.is_none()
    {
        let rest: String = forward.rules.dicts[1..].iter().map(|dict| format!(", {dict}")).collect();
        let _ = writeln!(text, "\nin {first}{rest}");
    }
    for dict in forward.rules.block_dicts() {
        remark(
            &mut text,
            &format!("lossy: what `in {dict}` does is not undone: no key set says what that dict holds"),
        );
    }
    match forward.rules.optimizer {
        Some(OptimizerMode::Follow) => text.push_str("\noptimizer follow\n"),
        Some(OptimizerMode::Drop) => {
            remark(
                &mut text,
                "lossy: `optimizer drop` left the state of the optimizer out: it is not had back",
            );
        }
        None => {}
    }
    let forward_statements = statements(forward);
    let mut apart = true;
    for undone in &back.undone {
        let forward_statement = undone.statement.and_then(|index| forward_statements.get(index)).copied();
        // What is remarked on and what takes several lines stands apart.
        let long = |text: &str| text.lines().count() > 1 || text.starts_with('#');
        let mut own = String::new();
        for said in &undone.remarks {
            let of = undone.statement.map(|index| format!("{}: ", place(forward, index)));
            let said = match (said.strip_prefix("lossy: "), of) {
                (Some(said), Some(of)) => format!("lossy: {of}{said}"),
                (_, of) => format!("{}{said}", of.unwrap_or_default()),
            };
            remark(&mut own, &said);
        }
        for stage in &undone.stages {
            own.push_str(&stage_text(stage, forward_statement));
        }
        if apart || long(&own) {
            text.push('\n');
        }
        apart = long(&own);
        text.push_str(&own);
    }
    text.push_str(&left(forward, back));
    text.push_str(&edits(forward));
    if back.undone.is_empty() && back.left.is_empty() && forward.rules.edits.is_empty() {
        text.push_str("\n# nothing to undo\n");
    }
    syntax::format(&text).unwrap_or(text)
}

fn remark(text: &mut String, said: &str) {
    let said: String = said.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let _ = writeln!(text, "# {said}");
}

fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|char| !char.is_control()).collect();
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Where a statement of the migration stands, and what it says.
fn place(forward: &Forward, statement: usize) -> String {
    let Some(applied) = forward.plan.applied().get(statement) else { return String::new() };
    let words: Vec<&str> = forward.sources.slice(applied.span).split_whitespace().collect();
    let mut shown = words.join(" ");
    if applied.clauses.len() > 1 {
        shown = format!("{} {{ … }}", applied.verb.name);
    } else if shown.chars().count() > MAX_SHOWN {
        shown = shown.chars().take(MAX_SHOWN).chain(['…']).collect();
    }
    // The rule file is the first text; another is one that it includes.
    let place = match applied.span.file {
        0 => format!("line {}", forward.sources.line_col(applied.span).0),
        _ => forward.sources.place(applied.span),
    };
    format!("{place}, `{shown}`")
}

/// One statement of the way back: in few lines if they do what they should, else key by key.
fn stage_text(stage: &Stage, forward: Option<&Statement>) -> String {
    let Some(verb) = stage.acts.first().map(|act| act.verb) else { return String::new() };
    let lines = match verb {
        // These range over keys that are not there yet, and so are tried against those that they make.
        "fill" => generalise::lines(&stage.acts, &stage.after(), forward),
        _ => generalise::lines(&stage.acts, &stage.before, forward),
    };
    let text = statement(verb, &lines);
    if verb == "fill" || leads_to(&text, stage) {
        return text;
    }
    let lines: Vec<Line> = stage.acts.iter().map(|act| concrete(act, &first_option(act))).collect();
    statement(verb, &lines)
}

fn first_option(act: &Act) -> String {
    act.options.first().cloned().unwrap_or_default()
}

/// Whether a statement makes of the keys before it those that are to be after it.
fn leads_to(text: &str, stage: &Stage) -> bool {
    let Some(read) = trial::read(text) else { return false };
    let planned = plan::plan(&read.rules, &read.sources, stage.before.clone(), Some(&stage.after()));
    planned.plan.is_some()
}

/// A statement, as a block where it has several lines.
fn statement(verb: &str, lines: &[Line]) -> String {
    match lines {
        [] => String::new(),
        [line] => format!("{verb} {}\n", line.text("")),
        lines => {
            let lines: String = lines.iter().map(|line| format!("{}\n", line.text(""))).collect();
            format!("{verb} {{\n{lines}}}\n")
        }
    }
}

/// The keys that do not come back, by the statements that lost them.
fn left(forward: &Forward, back: &Back) -> String {
    let mut text = String::new();
    let mut reasons: Vec<usize> = back.left.iter().map(|(_, statement)| *statement).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        let keys = back.left.iter().filter(|(_, statement)| *statement == reason);
        let act = |(key, _): &(Key, usize)| Act {
            verb: "leave",
            from: vec![key.clone()],
            to: Vec::new(),
            options: Vec::new(),
        };
        let acts: Vec<Act> = keys.map(act).collect();
        text.push('\n');
        let place = place(forward, reason);
        remark(
            &mut text,
            &format!("lossy: {place}: these are not had back, and stay as the model makes them"),
        );
        let statement_of = statements(forward).get(reason).copied();
        text.push_str(&statement("leave", &generalise::lines(&acts, forward.plan.source(), statement_of)));
    }
    text
}

/// The changes to other values, undone from the last to the first.
fn edits(forward: &Forward) -> String {
    let mut text = String::new();
    for edit in forward.rules.edits.iter().rev() {
        let path = path_text(&edit.edit.path);
        let line = forward.sources.line_col(edit.span).0;
        text.push('\n');
        match &edit.edit.change {
            Change::Move(to) => {
                let mark = if edit.edit.optional { "?" } else { "" };
                let _ = writeln!(text, "move{mark} {} -> {path}", path_text(to));
            }
            Change::Set(_) => {
                remark(
                    &mut text,
                    &format!("lossy: line {line} sets {path}: what it was before is not known"),
                );
            }
            Change::Unset => {
                remark(&mut text, &format!("lossy: line {line} takes {path} away: it is not had back"));
            }
        }
    }
    if let Some(dict) = &forward.rules.unwrap {
        text.push('\n');
        remark(
            &mut text,
            &format!(
                "lossy: `unwrap {dict}` made this dict the whole file: what lay beside it is not had back"
            ),
        );
    }
    text
}
