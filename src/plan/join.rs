//! Which matches of a join belong together, and in which order.

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::hits::Hit;
use super::problem::{Problem, ProblemKind};
use super::state::State;
use crate::rules::{Clause, Pattern, SlotKind};

/// The tensors that become one.
pub(super) struct Group {
    /// The name of the result.
    pub name: String,
    /// The hits, in the order in which they are joined.
    pub members: Vec<usize>,
}

/// Groups hits by the name that they get, and checks that each group is whole; `alone` says that one
/// tensor can be a group.
pub(super) fn group(
    clause: &Clause,
    patterns: &[Pattern],
    hits: &[Hit],
    state: &State,
    alone: bool,
    problems: &mut Vec<Problem>,
) -> Vec<Group> {
    let mut groups: IndexMap<&str, Vec<usize>, RandomState> = IndexMap::default();
    for (index, hit) in hits.iter().enumerate() {
        if let Some(name) = hit.names.first() {
            groups.entry(name).or_default().push(index);
        }
    }
    let mut whole = Vec::new();
    for (name, members) in groups {
        let checked = match &clause.over {
            Some(over) => by_index(clause, patterns, hits, state, name, &members, over),
            None if alone && members.len() == 1 && patterns.len() == 1 => Ok(members),
            None => by_list(clause, patterns, hits, state, name, &members),
        };
        match checked {
            Ok(members) => whole.push(Group { name: name.to_owned(), members }),
            Err(problem) => problems.push(*problem),
        }
    }
    whole
}

/// The members in the order of the list's patterns; each pattern must have given exactly one.
fn by_list(
    clause: &Clause,
    patterns: &[Pattern],
    hits: &[Hit],
    state: &State,
    name: &str,
    members: &[usize],
) -> Result<Vec<usize>, Box<Problem>> {
    let key = |member: usize| state.entry(hits[member].entry).key.to_string();
    if let [pattern] = patterns {
        let mut kind = ProblemKind::JoinOne {
            name: name.to_owned(),
            key: members.first().map_or_else(String::new, |&m| key(m)),
        };
        if let [first, second, ..] = members {
            kind = ProblemKind::TwoToOne { name: name.to_owned(), first: key(*first), second: key(*second) };
        }
        let mut problem = Problem::new(kind, pattern.span);
        let alternatives = pattern.slots.iter().find_map(|slot| match &slot.kind {
            SlotKind::Choice { texts } => Some(texts),
            _ => None,
        });
        problem = match alternatives {
            Some(texts) => problem.help(format!(
                "`{{{}}}` takes each by itself; a list joins them, in this order: write `{{{}}}`",
                texts.join("|"),
                texts.join(",")
            )),
            None => problem.help(
                "name the tensors to join: a list `{q,k,v}`, patterns with commas, or an index with `over`",
            ),
        };
        return Err(Box::new(problem));
    }
    let mut places: Vec<Option<usize>> = vec![None; patterns.len()];
    for &member in members {
        let place = &mut places[hits[member].pattern];
        if let Some(first) = *place {
            let kind = ProblemKind::JoinTwice {
                name: name.to_owned(),
                first: key(first),
                second: key(member),
                place: (hits[member].pattern + 1).to_string(),
            };
            let help = "put what tells them apart into the new name";
            return Err(Box::new(Problem::new(kind, patterns[hits[member].pattern].span).help(help)));
        }
        *place = Some(member);
    }
    let lacking = places.iter().position(Option::is_none);
    if let Some(lacking) = lacking {
        let some = &hits[members[0]];
        let missing = patterns[lacking]
            .fill_in(&patterns[some.pattern], &some.way)
            .unwrap_or_else(|| patterns[lacking].text.clone());
        let there: Vec<String> = members.iter().map(|&member| format!("`{}`", key(member))).collect();
        let kind = ProblemKind::JoinLacks { name: name.to_owned(), missing };
        let problem = Problem::new(kind, clause.span).note(format!("there is {}", there.join(", ")));
        return Err(Box::new(problem));
    }
    Ok(places.into_iter().flatten().collect())
}

/// The members in the order of their index, which must run without a gap.
fn by_index(
    clause: &Clause,
    patterns: &[Pattern],
    hits: &[Hit],
    state: &State,
    name: &str,
    members: &[usize],
    over: &str,
) -> Result<Vec<usize>, Box<Problem>> {
    let key = |member: usize| state.entry(hits[member].entry).key.to_string();
    let mut numbered: Vec<(u64, usize)> = Vec::with_capacity(members.len());
    let mut range = None;
    for &member in members {
        let hit = &hits[member];
        let pattern = &patterns[hit.pattern];
        let Some(slot) = pattern.slot(over) else { continue };
        if let SlotKind::Index { range: Some(written) } = pattern.slots[slot].kind {
            range = Some(written);
        }
        let text = hit.way.captures.get(slot).and_then(|capture| capture.text.as_deref());
        numbered.push((text.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX), member));
    }
    numbered.sort_unstable();
    for pair in numbered.windows(2) {
        if pair[0].0 == pair[1].0 {
            let kind = ProblemKind::JoinTwice {
                name: name.to_owned(),
                first: key(pair[0].1),
                second: key(pair[1].1),
                place: pair[0].0.to_string(),
            };
            let help = "put what tells them apart into the new name";
            return Err(Box::new(Problem::new(kind, clause.span).help(help)));
        }
    }
    let found: Vec<u64> = numbered.iter().map(|(index, _)| *index).collect();
    let first = range.map_or(0, |(first, _)| first);
    let last = range.map_or_else(|| found.last().copied().unwrap_or(0), |(_, last)| last);
    let lacks = (first..=last).zip(found.iter().map(Some).chain(std::iter::repeat(None)));
    if let Some((lacking, _)) = lacks.into_iter().find(|(wanted, found)| *found != Some(wanted)) {
        let list: Vec<String> = found.iter().take(12).map(u64::to_string).collect();
        let gap = format!("{lacking} is missing; there is {}", list.join(", "));
        let kind = ProblemKind::IndexGap { name: name.to_owned(), gap };
        let help = format!("an index runs from 0; from elsewhere it is written `{{{over}:4..7}}`");
        return Err(Box::new(Problem::new(kind, clause.span).help(help)));
    }
    Ok(numbered.into_iter().map(|(_, member)| member).collect())
}
