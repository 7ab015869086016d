//! Many keys as few lines: `layers.{0…23}.attn.q.weight`.
//!
//! A key is a row of segments. Two rows that are alike but for one segment become one row with a set
//! there, and such rows fold again at another place. So a folded row always stands for exactly the
//! product of its sets, and nothing is shown that is not there.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::hash::Hash;

use foldhash::{HashMap, HashSet};

use super::segments;

/// Keys with more segments than this are shown as they are, so that a hostile key costs no time.
const MAX_SEGMENTS: usize = 64;
/// How many runs of indices are listed before the middle ones become `…`.
const MAX_RUNS: usize = 6;
/// How many names are listed at the end of a key; more than these stay keys of their own.
const MAX_NAMES: usize = 8;

/// Keys that are shown in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The keys, as in `layers.{0…23}.attn.{q,k,v}.weight`; one key alone is itself.
    pub pattern: String,
    /// How many keys these are.
    pub count: usize,
    /// Which of the given keys is the first of these, counted from 0.
    pub first: usize,
}

/// Folds keys for people, in the order in which they first appear.
///
/// Indices fold wherever they are a segment of their own, and names at the end of a key. Every line
/// stands for exactly the product of what it lists. A key that is given twice counts once.
pub fn fold<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<Folded> {
    fold_specs(keys.into_iter().map(|key| (key, ())))
}

/// Like [`fold`], but only keys with an equal tag (their spec, say) fold together.
///
/// The tag of a line is the tag of the key that its `first` names.
pub fn fold_specs<'a, T: Eq + Hash>(keys: impl IntoIterator<Item = (&'a str, T)>) -> Vec<Folded> {
    let mut folding = Folding::default();
    let mut tags = HashMap::default();
    let mut seen = HashSet::default();
    for (index, (key, tag)) in keys.into_iter().enumerate() {
        if seen.insert(key) {
            let next = number(tags.len());
            let tag = *tags.entry(tag).or_insert(next);
            folding.add(key, tag, index);
        }
    }
    folding.indices();
    folding.names();
    let rows = folding.rows.iter().filter(|row| row.count > 0);
    let mut folded: Vec<Folded> = rows.map(|row| folding.shown(row)).collect();
    folded.sort_by_key(|line| line.first);
    folded
}

/// What stands at one place of a row, as a number into [`Folding::atoms`].
type AtomId = u32;

/// A row without the atom at one place: its tag, and what stands before and behind.
type Sides<'s> = (u32, &'s [AtomId], &'s [AtomId]);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Atom<'a> {
    Text(&'a str),
    Index(u64),
    /// Ascending.
    Indices(Vec<u64>),
    /// In the order in which they appear.
    Names(Vec<&'a str>),
}

impl Atom<'_> {
    fn of(segment: &str) -> Atom<'_> {
        let canonical = segment == "0" || !segment.starts_with('0');
        let digits = canonical && segment.bytes().all(|byte| byte.is_ascii_digit());
        match segment.parse() {
            Ok(index) if digits => Atom::Index(index),
            _ => Atom::Text(segment),
        }
    }
}

struct Row {
    tag: u32,
    /// Where in [`Folding::places`] its atoms stand.
    start: usize,
    end: usize,
    /// 0 once the row has become part of another.
    count: usize,
    first: usize,
}

#[derive(Default)]
struct Folding<'a> {
    rows: Vec<Row>,
    /// The atoms of all rows, one row after the other.
    places: Vec<AtomId>,
    atoms: Vec<Atom<'a>>,
    ids: HashMap<Atom<'a>, AtomId>,
    /// The last segment at each place, with its number.
    before: Vec<(&'a str, AtomId)>,
}

impl<'a> Folding<'a> {
    fn add(&mut self, key: &'a str, tag: u32, first: usize) {
        let short = key.bytes().filter(|&byte| byte == b'.').count() < MAX_SEGMENTS;
        let start = self.places.len();
        if short {
            for (place, segment) in segments(key).enumerate() {
                // Keys that follow each other have most of their segments in common.
                let id = match self.before.get(place) {
                    Some(&(known, id)) if known == segment => id,
                    _ => self.id(Atom::of(segment)),
                };
                match self.before.get_mut(place) {
                    Some(before) => *before = (segment, id),
                    None => self.before.push((segment, id)),
                }
                self.places.push(id);
            }
        } else {
            let id = self.id(Atom::Text(key));
            self.places.push(id);
        }
        self.rows.push(Row { tag, start, end: self.places.len(), count: 1, first });
    }

    fn atoms_of(&self, row: &Row) -> &[AtomId] {
        &self.places[row.start..row.end]
    }

    /// What stands at a place of a row.
    fn atom(&self, row: usize, place: usize) -> &Atom<'a> {
        &self.atoms[self.atoms_of(&self.rows[row])[place] as usize]
    }

    fn id(&mut self, atom: Atom<'a>) -> AtomId {
        match self.ids.entry(atom) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let id = number(self.atoms.len());
                self.atoms.push(new.key().clone());
                *new.insert(id)
            }
        }
    }

    /// Folds the index places from the right to the left: where stages have blocks of their own
    /// number, those of one stage belong together before the stages do.
    fn indices(&mut self) {
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            for (place, &atom) in self.atoms_of(row).iter().enumerate() {
                if matches!(self.atoms[atom as usize], Atom::Index(_)) {
                    places.entry(place).or_default().push(at);
                }
            }
        }
        for (place, rows) in places.into_iter().rev() {
            for members in self.alike(place, &rows) {
                let indices = members.iter().filter_map(|&at| match self.atom(at, place) {
                    Atom::Index(index) => Some(*index),
                    _ => None,
                });
                let mut indices: Vec<u64> = indices.collect();
                indices.sort_unstable();
                let id = self.id(Atom::Indices(indices));
                self.join(&members, place, id);
            }
        }
    }

    /// Folds the names at the end: `bn1.{weight,bias}`.
    fn names(&mut self) {
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            let last = (row.end - row.start).saturating_sub(1);
            if row.count > 0 && last > 0 && matches!(self.atom(at, last), Atom::Text(_)) {
                places.entry(last).or_default().push(at);
            }
        }
        for (place, rows) in places {
            for members in self.alike(place, &rows) {
                if members.len() > MAX_NAMES {
                    continue;
                }
                let names = members.iter().filter_map(|&at| match self.atom(at, place) {
                    Atom::Text(name) => Some(*name),
                    _ => None,
                });
                let names = names.collect();
                let id = self.id(Atom::Names(names));
                self.join(&members, place, id);
            }
        }
    }

    /// Groups of two or more of these rows that are alike but for the atom at `place`.
    fn alike(&self, place: usize, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut groups: HashMap<Sides<'_>, Vec<usize>> = HashMap::default();
        for &at in rows {
            let row = &self.rows[at];
            if row.count > 0 {
                let atoms = self.atoms_of(row);
                let sides = (row.tag, &atoms[..place], &atoms[place + 1..]);
                groups.entry(sides).or_default().push(at);
            }
        }
        let mut groups: Vec<_> = groups.into_values().filter(|members| members.len() > 1).collect();
        // A map gives its groups in any order; the result is to be the same each time.
        groups.sort_unstable();
        groups
    }

    /// Makes one row of the members, with `atom` at `place`.
    fn join(&mut self, members: &[usize], place: usize, atom: AtomId) {
        let count = members.iter().map(|&at| self.rows[at].count).sum();
        let first = members.iter().map(|&at| self.rows[at].first).min().unwrap_or(0);
        for &at in members {
            self.rows[at].count = 0;
        }
        if let Some(&at) = members.first() {
            let row = &mut self.rows[at];
            (row.count, row.first) = (count, first);
            self.places[row.start + place] = atom;
        }
    }

    fn shown(&self, row: &Row) -> Folded {
        let mut pattern = String::new();
        for (place, &atom) in self.atoms_of(row).iter().enumerate() {
            if place > 0 {
                pattern.push('.');
            }
            match &self.atoms[atom as usize] {
                Atom::Text(text) => pattern.push_str(text),
                // Writing into a String cannot fail.
                Atom::Index(index) => drop(write!(pattern, "{index}")),
                Atom::Indices(indices) => drop(write!(pattern, "{{{}}}", index_text(indices))),
                Atom::Names(names) => drop(write!(pattern, "{{{}}}", names.join(","))),
            }
        }
        Folded { pattern, count: row.count, first: row.first }
    }
}

#[allow(clippy::cast_possible_truncation)] // four billion texts do not fit into memory
fn number(index: usize) -> u32 {
    index as u32
}

/// Ascending indices as runs: `0…3,7`.
pub(crate) fn index_text(indices: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &index in indices {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let run_text = |&(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}…{last}") }
    };
    let shown: Vec<String> = match runs.as_slice() {
        [first, second, .., last] if runs.len() > MAX_RUNS => {
            vec![run_text(first), run_text(second), "…".to_owned(), run_text(last)]
        }
        runs => runs.iter().map(run_text).collect(),
    };
    shown.join(",")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(keys: &[&str]) -> Vec<(String, usize)> {
        fold(keys.iter().copied()).into_iter().map(|line| (line.pattern, line.count)).collect()
    }

    fn line(pattern: &str, count: usize) -> (String, usize) {
        (pattern.to_owned(), count)
    }

    #[test]
    fn indices_and_last_names_fold() {
        let keys: Vec<String> = (0..24).map(|layer| format!("layers.{layer}.attn.q.weight")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(lines(&keys), [line("layers.{0…23}.attn.q.weight", 24)]);
        assert_eq!(
            lines(&["bn1.weight", "bn1.bias", "bn1.running_mean"]),
            [line("bn1.{weight,bias,running_mean}", 3)]
        );
        assert_eq!(lines(&["a.5.w", "a.0.w", "a.2.w"]), [line("a.{0,2,5}.w", 3)]);
        assert_eq!(
            lines(&["a", "b", "x.007.w", "x.008.w"]),
            [line("a", 1), line("b", 1), line("x.007.w", 1), line("x.008.w", 1)]
        );
    }

    #[test]
    fn many_runs_are_cut_and_few_are_not() {
        assert_eq!(index_text(&[0, 1, 2, 4, 6]), "0…2,4,6");
        assert_eq!(index_text(&[0, 2, 4, 6, 8, 10, 12]), "0,2,…,12");
        assert_eq!(index_text(&[u64::MAX]), u64::MAX.to_string());
    }

    #[test]
    fn only_whole_products_fold() {
        let depths = [2, 2, 6, 2];
        let mut keys = Vec::new();
        for (stage, depth) in depths.iter().enumerate() {
            for block in 0..*depth {
                keys.push(format!("layers.{stage}.blocks.{block}.norm.weight"));
                keys.push(format!("layers.{stage}.blocks.{block}.norm.bias"));
            }
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(
            lines(&keys),
            [
                line("layers.{0…1,3}.blocks.{0…1}.norm.{weight,bias}", 12),
                line("layers.2.blocks.{0…5}.norm.{weight,bias}", 12),
            ]
        );
        // One hole, and the two indices no longer are a product.
        assert_eq!(lines(&["a.0.b.0", "a.0.b.1", "a.1.b.0"]), [line("a.0.b.{0…1}", 2), line("a.1.b.0", 1)]);
    }

    #[test]
    fn tags_keep_keys_apart() {
        let folded = fold_specs([("a.0.w", 1), ("a.1.w", 1), ("a.2.w", 2), ("a.0.b", 2)]);
        let shown: Vec<_> =
            folded.iter().map(|line| (line.pattern.as_str(), line.count, line.first)).collect();
        assert_eq!(shown, [("a.{0…1}.w", 2, 0), ("a.2.w", 1, 2), ("a.0.b", 1, 3)]);
    }

    #[test]
    fn hostile_keys_cost_no_time() {
        let long = "1.".repeat(100_000);
        let other = format!("{long}2");
        assert_eq!(lines(&[&long, &other]), [line(&long, 1), line(&other, 1)]);
        assert_eq!(lines(&["", "."]), [line("", 1), line(".", 1)]);
    }

    /// All keys that a folded line stands for; the patterns here have no `…,` cut.
    fn unfold(pattern: &str) -> Vec<String> {
        let mut keys = vec![String::new()];
        for (place, segment) in pattern.split('.').enumerate() {
            let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let mut choices = Vec::new();
            for choice in inner.map_or(vec![segment], |inner| inner.split(',').collect()) {
                match choice.split_once('…') {
                    Some((first, last)) => {
                        let range = first.parse::<u64>().unwrap()..=last.parse().unwrap();
                        choices.extend(range.map(|index| index.to_string()));
                    }
                    None => choices.push(choice.to_owned()),
                }
            }
            let dot = if place > 0 { "." } else { "" };
            keys = keys
                .iter()
                .flat_map(|key| choices.iter().map(move |choice| format!("{key}{dot}{choice}")))
                .collect();
        }
        keys
    }

    proptest! {
        #[test]
        fn a_fold_is_never_a_lie(keys in proptest::collection::hash_set("[ab0-3](\\.[ab0-3]){0,3}", 0..60)) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let folded = fold(keys.iter().copied());
            let mut shown: Vec<String> = Vec::new();
            for line in &folded {
                let members = unfold(&line.pattern);
                prop_assert_eq!(members.len(), line.count);
                prop_assert!(members.iter().any(|member| member == keys[line.first]));
                shown.extend(members);
            }
            shown.sort();
            let mut given: Vec<&str> = keys.clone();
            given.sort_unstable();
            prop_assert_eq!(shown, given);
        }
    }
}
