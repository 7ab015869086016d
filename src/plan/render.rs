//! A plan as text for people: what each statement does, counted, and what the shapes do not prove.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::{Applied, Move, Plan};
use crate::keyset::{Folded, Key, fold, segments};
use crate::printable::printable;
use crate::quantity::counted;
use crate::rules::verbs::Flow;
use crate::source::Sources;

/// What stands before the keys of a statement.
const INDENT: &str = "        ";
/// How wide a line of keys may be.
const WIDTH: usize = 100;
/// From how many keys on another thread is worth its while.
const KEYS_A_THREAD: usize = 5000;
/// How many lines of keys one statement shows before it counts the rest.
const SHOWN: usize = 6;

impl Plan {
    /// The plan for people; `all` shows every line of keys.
    pub fn render(&self, sources: &Sources, all: bool) -> String {
        let mut text = String::new();
        let mut file = None;
        for (applied, statement) in self.applied.iter().zip(self.statements(sources, all)) {
            let own = sources.rule_file(applied.span);
            if let Some(source) = own.filter(|_| own != file).and_then(|own| sources.get(own)) {
                let gap = if file.is_some() { "\n" } else { "" };
                let _ = writeln!(text, "{gap}{}", printable(&source.name));
            }
            file = own;
            text.push_str(&statement);
        }
        if !self.applied.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.summary());
        if !self.left.is_empty() {
            let _ = writeln!(text, "\nleft to the model's own initial value:");
            for line in lines(&fold(self.left.iter().map(|key| &**key))) {
                let _ = writeln!(text, "  {line}");
            }
        }
        if !self.assertions.is_empty() {
            let _ = writeln!(
                text,
                "\nvalues to be checked while applying: {}",
                counted(self.assertions.len(), "tensor")
            );
        }
        if !self.untold.is_empty() {
            let _ = writeln!(text, "\nnot checked, for the target does not tell their dtypes and shapes:");
            for line in lines(&fold(self.untold.iter().map(|key| &**key))) {
                let _ = writeln!(text, "  {line}");
            }
        }
        if self.target.is_none() {
            let _ = writeln!(text, "\nno target: nothing shows that a model will load the result");
        }
        if !self.unproved.is_empty() {
            let _ = writeln!(text, "\nthe shapes do not prove:");
            for unproved in &self.unproved {
                let _ = writeln!(text, "  {}: {}", sources.place(unproved.span), printable(&unproved.check));
            }
        }
        text
    }

    /// The text of each statement. Folding the keys of one takes long where they are many, and needs nothing of
    /// the others, so the cores share the statements.
    fn statements(&self, sources: &Sources, all: bool) -> Vec<String> {
        let keys: usize =
            self.applied.iter().map(|applied| applied.moves.len() + applied.dropped.len()).sum();
        let threads =
            std::thread::available_parallelism().map_or(1, usize::from).min(1 + keys / KEYS_A_THREAD);
        let next = AtomicUsize::new(0);
        let work = || {
            let index = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            let applied = index.map_while(|index| Some((index, self.applied.get(index)?)));
            applied.map(|(index, applied)| (index, statement(applied, sources, all))).collect::<Vec<_>>()
        };
        let mut texts: Vec<(usize, String)> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut texts = work();
            for other in others {
                match other.join() {
                    Ok(found) => texts.extend(found),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            texts
        });
        texts.sort_unstable_by_key(|(index, _)| *index);
        texts.into_iter().map(|(_, text)| text).collect()
    }

    /// One line: how many tensors come out, and how.
    pub fn summary(&self) -> String {
        let counts = self.counts();
        let mut parts = Vec::new();
        for (count, what) in [
            (counts.kept, "as they are"),
            (counts.renamed, "renamed"),
            (counts.computed, "computed"),
            (counts.filled, "made from nothing"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        let dropped = match counts.dropped {
            0 => String::new(),
            count => format!("; {count} dropped"),
        };
        let left = match self.left.len() {
            0 => String::new(),
            count => format!("; {count} left to the model"),
        };
        let how = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        format!("{} out of {}{how}{dropped}{left}", counted(self.outputs.len(), "tensor"), self.source.len())
    }

    /// How the tensors of the output come about.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut used = vec![false; self.source.len()];
        for output in &self.outputs {
            let sources = self.arena.sources(output.expr);
            sources.iter().for_each(|&index| used[index] = true);
            let place = match self.arena.source(output.expr) {
                Some(index) => {
                    let same = self.source.keys.get_index(index).is_some_and(|(key, _)| *key == output.key);
                    if same { &mut counts.kept } else { &mut counts.renamed }
                }
                None if sources.is_empty() => &mut counts.filled,
                None => &mut counts.computed,
            };
            *place += 1;
        }
        counts.dropped = used.iter().filter(|used| !**used).count();
        counts
    }
}

/// How the tensors of an output come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Source tensors under their own names.
    pub kept: usize,
    /// Source tensors under new names.
    pub renamed: usize,
    /// Tensors computed from source tensors.
    pub computed: usize,
    /// Tensors made from nothing.
    pub filled: usize,
    /// Source tensors that nothing uses.
    pub dropped: usize,
}

fn statement(applied: &Applied, sources: &Sources, all: bool) -> String {
    let mut text = String::new();
    let written: Vec<&str> = sources.slice(applied.span).split_whitespace().collect();
    let mut written = written.join(" ");
    if applied.clauses.len() > 1 {
        written = format!("{} {{ … }}", applied.verb.name);
    }
    let mut counts = counted(applied.matched, "key");
    if applied.verb.flow == Flow::Keep && !applied.dropped.is_empty() {
        counts.push_str(&format!("; {} dropped", applied.dropped.len()));
    }
    // A line of the rule file by its number alone, one that it takes in with the name of its text.
    let place = match sources.taken_in(applied.span).is_empty() {
        true => sources.line_col(applied.span).0.to_string(),
        false => sources.place(applied.span),
    };
    let _ = writeln!(text, "{place:>4}  {}  ({counts})", printable(&written));
    let mut shown = moves(applied);
    shown.extend(
        lines(&fold(applied.dropped.iter().map(|key| &**key))).into_iter().map(|line| format!("- {line}")),
    );
    let limit = if all { usize::MAX } else { SHOWN };
    for line in shown.iter().take(limit) {
        let lines: Vec<String> = line.split('\n').map(printable).collect();
        let _ = writeln!(text, "{INDENT}{}", lines.join("\n"));
    }
    if shown.len() > limit {
        let _ = writeln!(text, "{INDENT}… and {} (-v shows them)", counted(shown.len() - limit, "more line"));
    }
    text
}

/// Keys that became keys, as one line shows them.
struct Line<'a> {
    from: &'a [Key],
    to: Vec<&'a str>,
}

/// Moves of one form on one line: numbers and last segments folded, if the fold says neither more nor less.
fn moves(applied: &Applied) -> Vec<String> {
    if matches!(applied.verb.flow, Flow::Fill | Flow::Add | Flow::Tie) {
        let made = lines(&fold(applied.moves.iter().map(|moved| &*moved.to)));
        return made.into_iter().map(|line| format!("+ {line}")).collect();
    }
    let mut by_form: IndexMap<String, Vec<Line>, RandomState> = IndexMap::default();
    for line in lines_of(&applied.moves) {
        by_form.entry(form(&line)).or_default().push(line);
    }
    let mut shown = Vec::new();
    for group in by_form.values_mut().flat_map(|group| in_step(group)) {
        if group.iter().all(|line| line.from.len() == 1 && line.to == [&*line.from[0]]) {
            let folds = fold(group.iter().flat_map(|line| line.to.iter().copied()));
            shown.extend(lines(&folds).into_iter().map(|line| format!("~ {line}")));
            continue;
        }
        let places = group.first().map_or((0, 0), |line| (line.from.len(), line.to.len()));
        let from = folded(group, places.0, |line, place| line.from.get(place).map(|key| &**key));
        let to = folded(group, places.1, |line, place| line.to.get(place).copied());
        match (from, to) {
            (Some(from), Some(to)) => {
                let count = if group.len() > 1 { format!("  {} times", group.len()) } else { String::new() };
                shown.push(arrow(&from, &format!("{to}{count}")));
            }
            _ => shown.extend(group.iter().map(|line| {
                let from: Vec<&str> = line.from.iter().map(|key| &**key).collect();
                arrow(&from.join(", "), &line.to.join(", "))
            })),
        }
    }
    shown
}

/// `from -> to`, on lines of its own for each key where it would be too long for one.
fn arrow(from: &str, to: &str) -> String {
    if from.chars().count() + to.chars().count() + INDENT.len() + 4 <= WIDTH {
        return format!("{from} -> {to}");
    }
    let below = |keys: &str, lead: &str| keys.replace(", ", &format!(",\n{INDENT}{lead}"));
    format!("{}\n{INDENT}  -> {}", below(from, ""), below(to, "     "))
}

/// The parts of one tensor on one line.
fn lines_of(moves: &[Move]) -> Vec<Line<'_>> {
    let mut found: Vec<Line> = Vec::new();
    for moved in moves {
        match found.last_mut() {
            Some(line) if line.from == moved.from.as_slice() && !moved.from.is_empty() => {
                line.to.push(&moved.to)
            }
            _ => found.push(Line { from: &moved.from, to: vec![&moved.to] }),
        }
    }
    found
}

/// What lines must have in common to be folded into one: all but numbers, and the last segment where it is
/// the same on both sides.
fn form(line: &Line) -> String {
    let last = |key| str::rsplit_once(key, '.').map(|(_, last)| last);
    let mut keys: Vec<&str> = line.from.iter().map(|key| &**key).collect();
    let split = keys.len();
    keys.extend(&line.to);
    let own = keys.first().and_then(|key| last(key));
    let same = own.is_some() && keys.iter().all(|key| last(key) == own);
    let mut form = String::new();
    for (index, key) in keys.iter().enumerate() {
        let key = if same { key.rsplit_once('.').map_or("", |(above, _)| above) } else { key };
        form.push_str(if index == split { " -> " } else { " " });
        without_numbers(&mut form, key);
    }
    form
}

/// One side of a group of lines, if each place of it folds into one pattern.
fn folded<'a>(
    group: &'a [Line<'a>],
    places: usize,
    key: impl Fn(&'a Line<'a>, usize) -> Option<&'a str>,
) -> Option<String> {
    let key = &key;
    let in_one = |keys: Vec<Folded>| match keys.as_slice() {
        [one] => Some(one.pattern.clone()),
        _ => None,
    };
    let all = group.iter().flat_map(|line| (0..places).filter_map(move |place| key(line, place)));
    in_one(fold(all)).or_else(|| {
        let of_place = |place| in_one(fold(group.iter().filter_map(|line| key(line, place))));
        let patterns: Option<Vec<String>> = (0..places).map(of_place).collect();
        patterns.map(|patterns| patterns.join(", "))
    })
}

/// Parts of a group in each of which the numbers on the left, ascending, go with those on the right, ascending: what
/// is read into `h.{0…3} -> g.{0…3}`. Where numbers change places, each is a part of its own.
fn in_step<'g, 'a>(group: &'g mut [Line<'a>]) -> Vec<&'g [Line<'a>]> {
    let mut pairs: Vec<(Vec<u64>, Vec<u64>)> = group.iter().map(numbers).collect();
    pairs.sort_unstable();
    let steps = |pair: &[(Vec<u64>, Vec<u64>)]| match pair[0].0 == pair[1].0 {
        true => pair[0].1 == pair[1].1,
        false => pair[0].1 <= pair[1].1,
    };
    if pairs.windows(2).all(steps) {
        return vec![group];
    }
    group.sort_by_cached_key(numbers);
    group.chunk_by(|line, next| numbers(line) == numbers(next)).collect()
}

/// The numbers in the keys of a line, on the left and on the right.
fn numbers(line: &Line) -> (Vec<u64>, Vec<u64>) {
    let of = |key: &str| segments(key).filter_map(|segment| segment.parse().ok()).collect::<Vec<u64>>();
    (line.from.iter().flat_map(|key| of(key)).collect(), line.to.iter().flat_map(|key| of(key)).collect())
}

/// Writes a key with `#` for each segment that is a number.
fn without_numbers(form: &mut String, key: &str) {
    for (index, segment) in segments(key).enumerate() {
        form.push_str(if index > 0 { "." } else { "" });
        form.push_str(if segment.parse::<u64>().is_ok() { "#" } else { segment });
    }
}

fn lines(folds: &[Folded]) -> Vec<String> {
    let count = |fold: &Folded| if fold.count > 1 { format!("  {} keys", fold.count) } else { String::new() };
    folds.iter().map(|fold| format!("{}{}", fold.pattern, count(fold))).collect()
}
