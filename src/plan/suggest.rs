//! What to write instead: near keys, renames that came before, wildcards that were meant.

use super::Applied;
use super::arena::Arena;
use super::execute::Planner;
use super::problem::{Problem, ProblemKind};
use super::scope::Outer;
use super::state::{Entry, State};
use crate::keyset::nearest;
use crate::rules::verbs::Flow;
use crate::rules::{Atom, Form, Matcher, Pattern, Place, SlotKind};
use crate::tensor::TensorSpec;

/// How many near keys are shown.
const SHOWN: usize = 3;
/// How many keys, or first segments of keys, are shown where none is near.
const BEGINNINGS: usize = 8;

/// Adds the nearest keys to a problem with a pattern or key that is not there, or, where none is near,
/// what the keys begin with.
pub(super) fn nearest_keys(problem: Problem, wanted: &str, state: &State) -> Problem {
    let keys = || state.iter().map(|(_, entry)| &*entry.key);
    let quoted = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let near = nearest(wanted, keys(), SHOWN);
    if !near.is_empty() {
        return problem.help(format!("the nearest keys are {}", quoted(&near)));
    }
    let all: Vec<&str> = keys().take(BEGINNINGS + 1).collect();
    if all.is_empty() {
        return problem.note("there are no keys");
    }
    if all.len() <= BEGINNINGS {
        return problem.note(format!("the keys are {}", quoted(&all)));
    }
    let mut beginnings: Vec<&str> = Vec::new();
    for beginning in keys().filter_map(|key| key.split('.').next()) {
        if beginnings.len() <= BEGINNINGS && !beginnings.contains(&beginning) {
            beginnings.push(beginning);
        }
    }
    let more = if beginnings.len() > BEGINNINGS { " …" } else { "" };
    beginnings.truncate(BEGINNINGS);
    problem.note(format!("the keys begin with {}{more}", quoted(&beginnings)))
}

/// Says why a pattern matches nothing, as far as that can be seen.
pub(super) fn unmatched(mut problem: Problem, pattern: &Pattern, outer: &Outer) -> Problem {
    let state = outer.state;
    if !state.may_suggest() {
        return problem;
    }
    let matcher = Matcher::new(pattern);
    if let Some(gone) = state.history().iter().find(|entry| matcher.is_match(&entry.key)) {
        let went = way(gone, state);
        return problem.note(format!("`{}` was there before: {went}", gone.key)).help(
            "each statement sees the keys as the ones before it left them: write the new name, or put both in one block",
        );
    }
    if let Some((index, text, key)) = no_index(pattern, state) {
        return problem
            .note(format!(
                "`{{{index}}}` is an index here, digits without leading zeros; `{key}` has `{text}` there"
            ))
            .help(format!(
                "write the texts out: `{{{text}|…}}`, with `{{…|…}}` at the same place of the new name"
            ));
    }
    if let Some((wider, key)) = one_segment_meant_many(pattern, state) {
        problem = problem.help(format!(
            "`*` inside a pattern is one segment, and `{key}` has more there: write `{wider}`"
        ));
        return problem;
    }
    nearest_keys(problem, &pattern.text, state)
}

/// An index of the pattern, the text that stands in its place, and the key that would match if it were one.
fn no_index<'s>(pattern: &Pattern, state: &'s State) -> Option<(String, String, &'s str)> {
    let Form::Places(places) = &pattern.form else { return None };
    let mut wider = pattern.clone();
    let widened = places.iter().map(|place| match place {
        Place::Segment(atoms) => Place::Segment(
            atoms
                .iter()
                .map(|atom| match atom {
                    Atom::Index { slot, .. } => Atom::Any { slot: *slot, least: 1 },
                    other => other.clone(),
                })
                .collect(),
        ),
        other => other.clone(),
    });
    wider.form = Form::Places(widened.collect());
    let matcher = Matcher::new(&wider);
    state.iter().find_map(|(_, entry)| {
        let way = matcher.ways(&entry.key).ok()?.into_iter().next()?;
        pattern.slots.iter().zip(way.captures).find_map(|(slot, capture)| {
            let (SlotKind::Index { .. }, Some(name), Some(text)) = (&slot.kind, &slot.name, capture.text)
            else {
                return None;
            };
            let zeros =
                text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
            zeros.then(|| (name.clone(), text, &*entry.key))
        })
    })
}

/// What to write for a list whose items need not all be there.
pub(super) fn one_of(written: &str) -> Option<String> {
    let (_, inside) = written.split_once('{')?;
    let (list, _) = inside.split_once('}').filter(|(list, _)| list.contains(','))?;
    let alternatives: Vec<&str> = list.split(',').map(str::trim).collect();
    Some(format!("all of a list must be there; `{{{}}}` takes those that are", alternatives.join("|")))
}

/// Says of operands of `compute` that match nothing and hold signs of arithmetic how those are written.
pub(super) fn spaces_around_signs(problems: &mut [Problem]) {
    for problem in problems {
        if let ProblemKind::Unmatched { pattern } = &problem.kind
            && let Some(sign) = pattern.chars().find(|sign| "+-/@".contains(*sign))
        {
            let spaced = pattern.replace(sign, &format!(" {sign} "));
            problem
                .helps
                .push(format!("a key may hold `{sign}`; arithmetic has spaces around it: `{spaced}`"));
        }
    }
}

/// How many parts a split would have to make so that each has the size that the target wants.
pub(super) fn other_parts(
    applied: &Applied,
    whole: &str,
    spec: &TensorSpec,
    kind: &ProblemKind,
) -> Option<String> {
    let ProblemKind::Shape { have, want, .. } = kind else { return None };
    if applied.verb.flow != Flow::Part
        || have.shape.len() != want.shape.len()
        || spec.shape.len() != want.shape.len()
    {
        return None;
    }
    let mut differing = (0..want.shape.len()).filter(|&dim| have.shape[dim] != want.shape[dim]);
    let (Some(dim), None) = (differing.next(), differing.next()) else { return None };
    let (size, part, wanted) = (spec.shape[dim], have.shape[dim], want.shape[dim]);
    let parts = size.checked_div(part).filter(|parts| parts * part == size && *parts > 1)?;
    let fits = match size.checked_div(wanted).filter(|parts| parts * wanted == size) {
        Some(parts) => format!("{parts} parts?"),
        None => "parts of unequal size? Those are written `sizes [...]`".to_owned(),
    };
    Some(format!(
        "dim {dim} of `{whole}` is {size}: in {parts} parts that is {part}, and the target wants {wanted}: {fits}"
    ))
}

/// The pattern with a `*` widened to `**`, where that matches a key.
fn one_segment_meant_many<'s>(pattern: &Pattern, state: &'s State) -> Option<(String, &'s str)> {
    let Form::Places(places) = &pattern.form else { return None };
    let segments: Vec<&str> = pattern.text.split('.').collect();
    if segments.len() != places.len() {
        return None;
    }
    for (index, segment) in segments.iter().enumerate() {
        if *segment != "*" || index + 1 == places.len() {
            continue;
        }
        let mut wider = pattern.clone();
        let Form::Places(places) = &mut wider.form else { return None };
        places[index] = Place::Many { slot: None, least: 1 };
        let matcher = Matcher::new(&wider);
        if let Some((_, entry)) = state.iter().find(|(_, entry)| matcher.is_match(&entry.key)) {
            let mut segments = segments.clone();
            segments[index] = "**";
            return Some((segments.join("."), &entry.key));
        }
    }
    None
}

/// The way that a key went from the source to here, or from here on: "`a` → `b` → `c`".
pub(super) fn way(entry: &Entry, state: &State) -> String {
    let mut steps = vec![format!("`{}`", entry.key)];
    let mut at = state.history().iter().position(|other| std::ptr::eq(other, entry)).unwrap_or(usize::MAX);
    // Statements only make later entries of earlier ones, so this ends.
    while let Some((next, successor)) =
        state.history().iter().enumerate().skip(at.saturating_add(1)).find(|(_, other)| {
            other.parents.iter().any(|&parent| std::ptr::eq(state.entry(parent), &state.history()[at]))
        })
    {
        steps.push(format!("`{}`", successor.key));
        at = next;
    }
    if steps.len() == 1 { "a statement above removed it".to_owned() } else { steps.join(" → ") }
}

impl Planner<'_> {
    /// The names that a key had, from the source on, and the lines that gave them:
    /// "`a` → line 2 `b` → line 3 `c`", or `None` where it is a source key.
    pub(super) fn history(&self, entry: &Entry) -> Option<String> {
        let mut names = Vec::new();
        let mut at = entry;
        while let Some(&parent) = at.parents.first() {
            let line = self.line_of(at).map(|line| format!("{line} ")).unwrap_or_default();
            names.push(format!("{line}`{}`", at.key));
            at = self.state.entry(parent);
        }
        names.push(format!("`{}`", at.key));
        names.reverse();
        (names.len() > 1).then(|| names.join(" → "))
    }

    /// The line of the statement that made a key: `line 3`.
    fn line_of(&self, entry: &Entry) -> Option<String> {
        let applied = self.applied.get(entry.statement?)?;
        Some(self.sources.line_name(applied.span))
    }

    /// What to do where a key had a wanted name already, and a statement below renamed it again.
    pub(super) fn renamed_again(&self, entry: &Entry, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut after = entry;
        loop {
            let before = self.state.entry(*after.parents.first()?);
            let (first, second) = (self.line_of(before)?, self.line_of(after)?);
            if wanted(&before.key) && first != second {
                return Some(format!(
                    "{first} made `{}`, and {second} renamed it again: put both lines into one block, \
                     `rename {{ … }}`, where all matches happen at once",
                    before.key
                ));
            }
            after = before;
        }
    }
}

/// The specs of keys, for messages.
pub(super) fn spec_of(arena: &Arena, entry: &Entry) -> String {
    arena.spec(entry.expr).to_string()
}
