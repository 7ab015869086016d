//! The text of a rule file that is to be written: what differs, and what could be meant, all as comments.

use std::collections::HashSet;

use crate::keyset::{Difference, Form, Key, KeySet, Mismatch, Move, fold_specs, moves};
use crate::printable::printable;
use crate::quantity::counted;
use crate::syntax;
use crate::table::Table;
use crate::tensor::TensorSpec;

/// How many lines a list has before the rest is counted only.
const MAX_LINES: usize = 60;

/// A rule file without rules, between two versions.
pub(super) struct Draft<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub old: &'a KeySet,
    pub difference: &'a Difference,
    /// The command that proves the folder.
    pub check: &'a str,
}

impl Draft<'_> {
    /// The text, in canonical form.
    pub fn text(&self) -> String {
        let Draft { from, to, difference, check, .. } = self;
        let mut text = format!("migration {from} -> {to}\n");
        if difference.is_empty() {
            text.push_str(&format!("\n# {to} has the keys of {from}: there is nothing to rename.\n"));
        } else {
            text.push_str(&format!(
                "\n# Write what changed from {from} to {to}, until `{check}` is content.\n\
                 # These comments can go then; a reason can stand behind the versions, \"in quotes\".\n"
            ));
        }
        let unexpected = difference.unexpected.iter().map(|(key, spec)| (key, Some(spec)));
        text.push_str(&keys(
            &format!(
                "Unexpected: {from} has these, {to} does not. `rename` what moved, `drop` what is gone."
            ),
            unexpected,
        ));
        let missing = difference.missing.iter().map(|(key, spec)| (key, spec.as_ref()));
        text.push_str(&keys(
            &format!("Missing: {to} has these, {from} does not. `leave` to the model what no old checkpoint can give."),
            missing,
        ));
        text.push_str(&mismatches("Of another shape.", &difference.shape));
        text.push_str(&mismatches(
            "Of another dtype: nothing is cast unless `cast` says so.",
            &difference.dtype,
        ));
        text.push_str(&self.suggestions());
        syntax::format(&text).unwrap_or(text)
    }

    /// Renames that could be meant.
    fn suggestions(&self) -> String {
        let mut lines = Vec::new();
        let found = moves(self.old, self.difference);
        for found in &found {
            lines.extend(rename(found));
        }
        let told: HashSet<&Key> =
            found.iter().flat_map(|found| &found.pairs).flat_map(|(old, new)| [old, new]).collect();
        let alone = |keys: &[Key]| match keys {
            [key] if !told.contains(key) => written(key),
            _ => None,
        };
        for candidates in self.difference.candidates() {
            if let (Some(old), Some(new)) = (alone(&candidates.unexpected), alone(&candidates.missing)) {
                lines.push(format!("rename {old} -> {new}  # alone of this shape"));
            }
        }
        if lines.is_empty() {
            return String::new();
        }
        section(
            "Renames that shapes and names allow. Equal shapes are no evidence that two keys are one tensor:\n\
             uncomment what you know to be so, and no more.",
            lines,
        )
    }
}

/// Lines below a title, as comments.
fn section(title: &str, mut lines: Vec<String>) -> String {
    if lines.len() > MAX_LINES {
        let more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("… and {}", counted(more, "more line")));
    }
    let title = title.lines().map(|line| format!("# {line}\n"));
    let lines = lines.iter().map(|line| format!("#   {}\n", printable(line).trim_end()));
    format!("\n{}#\n{}", title.collect::<String>(), lines.collect::<String>())
}

fn keys<'a>(title: &str, keys: impl Iterator<Item = (&'a Key, Option<&'a TensorSpec>)>) -> String {
    let keys: Vec<(&Key, Option<&TensorSpec>)> = keys.collect();
    if keys.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    for line in fold_specs(keys.iter().map(|(key, spec)| (&***key, spec))) {
        let spec = keys.get(line.first).and_then(|(_, spec)| spec.map(ToString::to_string));
        table.row([line.pattern, spec.unwrap_or_default(), count(line.count)]);
    }
    section(title, table.lines(""))
}

fn mismatches(title: &str, mismatches: &[Mismatch]) -> String {
    if mismatches.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    let specs = |found: &Mismatch| (found.checkpoint.to_string(), found.model.to_string());
    for line in fold_specs(mismatches.iter().map(|found| (&*found.key, specs(found)))) {
        let Some((old, new)) = mismatches.get(line.first).map(specs) else { continue };
        table.row([line.pattern, old, "->".to_owned(), new, count(line.count)]);
    }
    section(title, table.lines(""))
}

/// How many keys a line stands for, where that is not one.
fn count(keys: usize) -> String {
    if keys == 1 { String::new() } else { counted(keys, "key") }
}

// ------------------------------------------------------------------ rules

/// A move as a statement; none where its keys have names that no pattern is written for.
fn rename(found: &Move) -> Option<String> {
    let keys = counted(found.pairs.len(), "key");
    Some(format!("rename {} -> {}  # {keys}", form(&found.from)?, form(&found.to)?))
}

fn form(form: &Form) -> Option<String> {
    let mut parts: Vec<String> = form.head.then(|| "**".to_owned()).into_iter().collect();
    for own in &form.middle {
        parts.push(own.as_ref().map_or(Some("*".to_owned()), |own| segment(own))?);
    }
    parts.extend(form.tail.then(|| "**".to_owned()));
    Some(parts.join("."))
}

/// A key as a pattern of itself.
fn written(key: &str) -> Option<String> {
    let segments: Option<Vec<String>> = key.split('.').map(segment).collect();
    Some(segments?.join("."))
}

/// A segment as a pattern of itself.
fn segment(text: &str) -> Option<String> {
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    if text.is_empty() || text.chars().any(char::is_control) {
        return None;
    }
    if text.chars().all(plain) && !text.starts_with('-') && !text.ends_with('-') {
        return Some(text.to_owned());
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
