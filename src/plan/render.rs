//! A plan as text for people: what each statement does, counted, and what the shapes do not prove.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{Applied, Move, Plan};
use crate::diagnostic::printable;
use crate::keyset::{Folded, fold};
use crate::source::Sources;

/// How many lines of keys one statement shows before it counts the rest.
const SHOWN: usize = 6;

impl Plan {
    /// The plan for people; `all` shows every line of keys.
    pub fn render(&self, sources: &Sources, all: bool) -> String {
        let mut text = String::new();
        for applied in &self.applied {
            statement(&mut text, applied, sources, all);
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
            let _ =
                writeln!(text, "\nvalues to be checked while applying: {}", tensors(self.assertions.len()));
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
        format!("{} out of {}{how}{dropped}{left}", tensors(self.outputs.len()), self.source.len())
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

fn tensors(count: usize) -> String {
    format!("{count} tensor{}", if count == 1 { "" } else { "s" })
}

fn statement(text: &mut String, applied: &Applied, sources: &Sources, all: bool) {
    let written: Vec<&str> = sources.slice(applied.span).split_whitespace().collect();
    let mut written = written.join(" ");
    if applied.clauses.len() > 1 {
        written = format!("{} {{ … }}", applied.verb.name);
    }
    let keys = if applied.matched == 1 { "key" } else { "keys" };
    let (line, _) = sources.line_col(applied.span);
    let _ = writeln!(text, "{line:>4}  {}  ({} {keys})", printable(&written), applied.matched);
    let mut shown = moves(&applied.moves);
    shown.extend(
        lines(&fold(applied.dropped.iter().map(|key| &**key))).into_iter().map(|line| format!("- {line}")),
    );
    let limit = if all { usize::MAX } else { SHOWN };
    for line in shown.iter().take(limit) {
        let _ = writeln!(text, "        {}", printable(line));
    }
    if shown.len() > limit {
        let _ = writeln!(text, "        … and {} more lines (-v shows them)", shown.len() - limit);
    }
}

/// Moves of one form on one line: numbers folded, if the fold says neither more nor less.
fn moves(moves: &[Move]) -> Vec<String> {
    let mut groups: IndexMap<(Vec<String>, String), Vec<&Move>> = IndexMap::new();
    for moved in moves {
        let from = moved.from.iter().map(|key| without_numbers(key)).collect();
        groups.entry((from, without_numbers(&moved.to))).or_default().push(moved);
    }
    let mut shown = Vec::new();
    for group in groups.values() {
        if group.iter().all(|moved| moved.from.len() == 1 && moved.from[0] == moved.to) {
            let folds = fold(group.iter().map(|moved| &*moved.to));
            shown.extend(lines(&folds).into_iter().map(|line| format!("~ {line}")));
            continue;
        }
        let from = fold(group.iter().flat_map(|moved| moved.from.iter().map(|key| &**key)));
        let to = fold(group.iter().map(|moved| &*moved.to));
        let count = if group.len() > 1 { format!("  {} keys", group.len()) } else { String::new() };
        match (from.as_slice(), to.as_slice()) {
            ([], _) => shown.extend(lines(&to).into_iter().map(|line| format!("+ {line}"))),
            ([from], [to]) => shown.push(format!("{} -> {}{count}", from.pattern, to.pattern)),
            (_, [to]) => {
                let from: Vec<&str> = from.iter().map(|fold| fold.pattern.as_str()).collect();
                shown.push(format!("{} -> {}{count}", from.join(", "), to.pattern));
            }
            _ => shown.extend(group.iter().map(|moved| {
                let from: Vec<&str> = moved.from.iter().map(|key| &**key).collect();
                format!("{} -> {}", from.join(", "), moved.to)
            })),
        }
    }
    shown
}

fn without_numbers(key: &str) -> String {
    let segments = key.split('.');
    let segments = segments.map(|segment| if segment.parse::<u64>().is_ok() { "#" } else { segment });
    segments.collect::<Vec<_>>().join(".")
}

fn lines(folds: &[Folded]) -> Vec<String> {
    let count = |fold: &Folded| if fold.count > 1 { format!("  {} keys", fold.count) } else { String::new() };
    folds.iter().map(|fold| format!("{}{}", fold.pattern, count(fold))).collect()
}
