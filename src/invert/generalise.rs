//! Acts put into few lines: each tried before it is taken, and what no line says written key by key.

use std::collections::HashMap;

use super::act::Act;
use super::candidate::{Forms, candidates, concrete};
use super::line::Line;
use super::trial::Trial;
use crate::keyset::KeySet;
use crate::rules::Statement;

/// How many alternatives one line lists, and how wide it may get by them.
const MAX_ALTERNATIVES: usize = 8;
const MAX_WIDTH: usize = 100;

/// The lines that do `acts`, all of one verb, over these keys; `forward` is the statement that they undo.
pub(super) fn lines(acts: &[Act], keys: &KeySet, forward: Option<&Statement>) -> Vec<Line> {
    let Some(verb) = acts.first().map(|act| act.verb) else { return Vec::new() };
    let way = fewest_options(acts);
    let option = |act: &Act| act.options.get(way).or(act.options.last()).cloned().unwrap_or_default();
    let refs: Vec<&Act> = acts.iter().collect();
    let mut trial = Trial::new(verb, &refs, keys);
    let forms = Forms::of(&refs);
    let mut done = vec![false; acts.len()];
    let mut found: Vec<(Line, Vec<usize>)> = Vec::new();
    for (index, act) in acts.iter().enumerate() {
        if done[index] {
            continue;
        }
        let open = done.iter().filter(|done| !**done).count();
        let options = option(act);
        let own = [concrete(act, &options)];
        let hints = forward.map(|statement| hints(act, &options, statement)).unwrap_or_default();
        let mut best: Option<(Line, Vec<usize>)> = None;
        for line in hints.into_iter().chain(candidates(act, &options, &forms)).chain(own) {
            if best.as_ref().is_some_and(|(_, covered)| covered.len() == open) {
                break;
            }
            if let Some(covered) = trial.covers(&line, &done)
                && covered.contains(&index)
                && covered.len() > best.as_ref().map_or(0, |(_, covered)| covered.len())
            {
                best = Some((line, covered));
            }
        }
        // A pattern for one key says less than the key; one for several keys is shorter than their list.
        let few = act.from.len() + act.to.len() <= 2;
        let (line, covered) = match best {
            Some((line, covered)) if covered.len() > 1 || !few => (line, covered),
            // Beyond the bound of tries nothing is covered: then the act says itself.
            _ => (concrete(act, &options), vec![index]),
        };
        covered.iter().for_each(|&act| done[act] = true);
        found.push((line, covered));
    }
    alternatives(found, &mut trial)
}

/// Which way to write the options leads to the fewest different texts.
fn fewest_options(acts: &[Act]) -> usize {
    let ways = acts.iter().map(|act| act.options.len()).max().unwrap_or(0);
    let different = |way: &usize| {
        let texts: std::collections::HashSet<Option<&String>> =
            acts.iter().map(|act| act.options.get(*way).or(act.options.last())).collect();
        texts.len()
    };
    (0..ways).min_by_key(different).unwrap_or(0)
}

/// The statement's own patterns and templates, exchanged: most often the words that its writer would use.
fn hints(act: &Act, options: &str, statement: &Statement) -> Vec<Line> {
    let mut lines = Vec::new();
    for clause in &statement.clauses {
        let patterns: Vec<Vec<String>> =
            clause.patterns.iter().map(|pattern| segments(&pattern.text)).collect();
        let templates: Vec<Vec<String>> =
            clause.templates.iter().map(|template| segments(&template.text)).collect();
        let parts = act.to.len();
        let over = clause.over.as_ref().map(|over| match act.verb {
            // A range says how many there are.
            "split" | "copy" if !clause.patterns.iter().any(|pattern| ranges(&pattern.text, over)) => {
                format!("over {over} into {parts} {options}")
            }
            _ => format!("over {over} {options}"),
        });
        let options = over.map_or_else(|| options.to_owned(), |over| over.trim_end().to_owned());
        let line = |from: &[Vec<String>], to: &[Vec<String>]| Line {
            from: listed(from.to_vec()),
            to: listed(to.to_vec()),
            options: options.clone(),
        };
        if act.to.is_empty() || act.in_place() {
            lines.extend(
                [&templates, &patterns]
                    .into_iter()
                    .filter(|side| !side.is_empty())
                    .map(|side| line(side, &[])),
            );
        } else if !templates.is_empty() {
            lines.push(line(&templates, &patterns));
        }
    }
    lines
}

/// Whether a pattern gives the range of an index.
fn ranges(pattern: &str, name: &str) -> bool {
    pattern.contains(&format!("{{{name}:"))
}

/// The segments of a pattern, where its dots are told from those inside quotes and braces.
fn segments(text: &str) -> Vec<String> {
    let mut depth = 0usize;
    let dots_within = text.chars().any(|char| {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (char == '.' && depth > 0) || char == '"'
    });
    match dots_within || text.starts_with('/') {
        true => vec![text.to_owned()],
        false => text.split('.').map(str::to_owned).collect(),
    }
}

/// Patterns that differ in one plain segment, as one with a list.
fn listed(globs: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let Some(first) = globs.first() else { return globs };
    let differ = |place: &usize| globs.iter().any(|glob| glob.get(*place) != first.get(*place));
    let places: Vec<usize> = (0..first.len()).filter(differ).collect();
    let ([place], true) = (places.as_slice(), globs.iter().all(|glob| glob.len() == first.len())) else {
        return globs;
    };
    let texts: Vec<String> = globs.iter().map(|glob| glob[*place].clone()).collect();
    if globs.len() < 2 || first.len() < 2 || !texts.iter().all(|text| is_plain(text)) {
        return globs;
    }
    // `{q_proj,k_proj}` is `{q,k}_proj`.
    let ending = texts[0].find('_').map_or("", |at| &texts[0][at..]);
    let own = |text: &String| text.strip_suffix(ending).filter(|own| !own.is_empty()).map(str::to_owned);
    let shorter: Option<Vec<String>> = texts.iter().map(own).collect();
    let mut glob = first.clone();
    glob[*place] = match shorter {
        Some(shorter) => format!("{{{}}}{ending}", shorter.join(",")),
        None => format!("{{{}}}", texts.join(",")),
    };
    vec![glob]
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "_-+".contains(char))
}

/// Lines that differ in one plain segment of each side become one with alternatives, or with a wildcard where
/// the segment is the same on both sides.
fn alternatives(found: Vec<(Line, Vec<usize>)>, trial: &mut Trial) -> Vec<Line> {
    let mut lines: Vec<Option<(Line, Vec<usize>)>> = found.into_iter().map(Some).collect();
    // The lines by what they are without the two segments.
    let mut groups: HashMap<(Line, usize, Option<usize>), Vec<usize>> = HashMap::new();
    let mut order = Vec::new();
    for (index, entry) in lines.iter().enumerate() {
        let Some((line, _)) = entry else { continue };
        for (from, to) in holes(line) {
            let mut rest = line.clone();
            rest.from[0][from].clear();
            if let Some(to) = to {
                rest.to[0][to].clear();
            }
            let members = groups.entry((rest.clone(), from, to)).or_default();
            if members.is_empty() {
                order.push((rest, from, to));
            }
            members.push(index);
        }
    }
    let size = |group: &(Line, usize, Option<usize>)| groups.get(group).map_or(0, Vec::len);
    order.sort_by_key(|group| std::cmp::Reverse(size(group)));
    for group in order {
        let (_, from, to) = group;
        let members = groups.get(&group).map(Vec::as_slice).unwrap_or_default();
        let members: Vec<usize> = members.iter().copied().filter(|&member| lines[member].is_some()).collect();
        let held: Vec<&(Line, Vec<usize>)> =
            members.iter().filter_map(|&member| lines[member].as_ref()).collect();
        if held.len() < 2 {
            continue;
        }
        let mut all: Vec<usize> = held.iter().flat_map(|(_, covered)| covered.iter().copied()).collect();
        all.sort_unstable();
        let joined = joined(&held, from, to).into_iter().find(|line| {
            let done = trial.all_but(&all);
            trial.covers(line, &done).is_some_and(|covered| covered == all)
        });
        if let Some(line) = joined {
            for &member in &members[1..] {
                lines[member] = None;
            }
            lines[members[0]] = Some((line, all));
        }
    }
    lines.into_iter().flatten().map(|(line, _)| line).collect()
}

/// The places of plain segments that two lines may differ in: one of the pattern, one of the template.
fn holes(line: &Line) -> Vec<(usize, Option<usize>)> {
    let plain =
        |glob: &Vec<String>| (0..glob.len()).filter(|&place| is_plain(&glob[place])).collect::<Vec<_>>();
    match (line.from.as_slice(), line.to.as_slice()) {
        ([from], []) => plain(from).into_iter().map(|place| (place, None)).collect(),
        ([from], [to]) => {
            let places = plain(to);
            let pair = |from| places.iter().map(move |&to| (from, Some(to)));
            plain(from).into_iter().flat_map(pair).collect()
        }
        _ => Vec::new(),
    }
}

/// One line for several: with a wildcard, or with alternatives.
fn joined(lines: &[&(Line, Vec<usize>)], from: usize, to: Option<usize>) -> Vec<Line> {
    let Some((first, _)) = lines.first() else { return Vec::new() };
    let texts: Vec<&str> = lines.iter().map(|(line, _)| line.from[0][from].as_str()).collect();
    let partners: Vec<&str> =
        lines.iter().filter_map(|(line, _)| to.map(|to| line.to[0][to].as_str())).collect();
    let with = |text: String, partner: String| {
        let mut line = first.clone();
        line.from[0][from] = text;
        if let Some(to) = to {
            line.to[0][to] = partner;
        }
        line
    };
    let mut ways = Vec::new();
    // A pattern of wildcards alone would say nothing of what is meant.
    let speaks = (0..first.from[0].len()).any(|place| place != from && !first.from[0][place].contains('*'));
    if speaks && (to.is_none() || texts == partners) {
        ways.push(with("*".to_owned(), "*".to_owned()));
    }
    if texts.len() <= MAX_ALTERNATIVES {
        let group = |texts: &[&str]| format!("{{{}}}", texts.join("|"));
        ways.push(with(group(&texts), group(&partners)));
    }
    ways.retain(|line| line.text("").chars().count() <= MAX_WIDTH);
    ways
}
