//! Matches keys against patterns, and finds every way in which a key can match.
//!
//! A regular expression reports one way; a rule must know whether there are two that lead to
//! different names. So the walk is our own: segment by segment, all ways, within a bound.

use super::pattern::{Atom, Form, Pattern, Place};
use crate::keyset::segments;

/// How many steps one key may take against one pattern before the pattern counts as ambiguous.
const MAX_STEPS: u32 = 100_000;
/// How many ways are looked at; two that differ are enough for an error.
const MAX_WAYS: usize = 16;

/// One way in which a key matches a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// What each slot of the pattern holds.
    pub captures: Vec<Capture>,
}

/// What one slot holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// The text, which may span segments; `None` for zero segments.
    pub text: Option<String>,
    /// Which alternative, where the slot is of alternatives.
    pub choice: Option<usize>,
}

/// A pattern made ready to run over many keys.
pub struct Matcher<'a> {
    pattern: &'a Pattern,
    /// What every matching key begins and ends with.
    prefix: String,
    suffix: String,
    literal: Option<String>,
}

/// The key can match in more ways than are looked at.
#[derive(Debug)]
pub struct TooManyWays;

impl<'a> Matcher<'a> {
    /// Prepares the matcher of a pattern in which no `let` names are left.
    pub fn new(pattern: &'a Pattern) -> Self {
        let (prefix, suffix) = ends(pattern);
        Matcher { pattern, prefix, suffix, literal: pattern.literal() }
    }

    /// The one key that can match, where the pattern has no wildcards.
    pub fn literal(&self) -> Option<&str> {
        self.literal.as_deref()
    }

    /// All ways in which `key` matches, the preferred one first; empty where it does not.
    ///
    /// # Errors
    /// Where the ways are too many to look at.
    pub fn ways(&self, key: &str) -> Result<Vec<Match>, TooManyWays> {
        if !key.starts_with(&self.prefix) || !key.ends_with(&self.suffix) {
            return Ok(Vec::new());
        }
        if let Some(literal) = &self.literal {
            return Ok(if key == literal { vec![Match::default()] } else { Vec::new() });
        }
        let places = match &self.pattern.form {
            Form::Places(places) => places,
            Form::Regex(regex) => {
                // Whether it matches is found faster than where its groups are.
                let found = Some(key).filter(|key| regex.is_match(key)).and_then(|key| regex.captures(key));
                let Some(found) = found else { return Ok(Vec::new()) };
                let capture = |name: &str| found.name(name).map(|text| text.as_str().to_owned());
                let names = self.pattern.slots.iter().filter_map(|slot| slot.name.as_deref());
                let captures = names.map(|name| Capture { text: capture(name), choice: None });
                return Ok(vec![Match { captures: captures.collect() }]);
            }
        };
        let segments: Vec<&str> = segments(key).collect();
        let mut walk = Walk {
            places,
            key,
            segments: &segments,
            slots: vec![None; self.pattern.slots.len()],
            found: Vec::new(),
            steps: MAX_STEPS,
        };
        walk.place(0, 0);
        if walk.steps == 0 { Err(TooManyWays) } else { Ok(walk.found) }
    }

    /// Whether `key` matches at all.
    pub fn is_match(&self, key: &str) -> bool {
        self.ways(key).map_or(true, |ways| !ways.is_empty())
    }
}

/// The literal text before the first and behind the last wildcard.
fn ends(pattern: &Pattern) -> (String, String) {
    let Form::Places(places) = &pattern.form else { return Default::default() };
    let mut prefix = String::new();
    'places: for (index, place) in places.iter().enumerate() {
        let Place::Segment(atoms) = place else {
            // A place that can be empty takes the dot before it along.
            if !matches!(place, Place::Many { least: 1, .. }) {
                prefix.truncate(prefix.trim_end_matches('.').len());
            }
            break;
        };
        for atom in atoms {
            let Atom::Text(text) = atom else { break 'places };
            prefix.push_str(text);
        }
        if index + 1 < places.len() {
            prefix.push('.');
        }
    }
    let mut pieces: Vec<&str> = Vec::new();
    'back: for (index, place) in places.iter().enumerate().rev() {
        let Place::Segment(atoms) = place else {
            if pieces.last() == Some(&".") {
                pieces.pop();
            }
            break;
        };
        for atom in atoms.iter().rev() {
            let Atom::Text(text) = atom else { break 'back };
            pieces.push(text);
        }
        if index > 0 {
            pieces.push(".");
        }
    }
    pieces.reverse();
    (prefix, pieces.concat())
}

/// What a slot holds while the walk is under way.
type Held<'k> = Option<(Option<&'k str>, Option<usize>)>;

struct Walk<'p, 'k> {
    places: &'p [Place],
    key: &'k str,
    segments: &'k [&'k str],
    slots: Vec<Held<'k>>,
    found: Vec<Match>,
    steps: u32,
}

impl<'p, 'k> Walk<'p, 'k> {
    /// Whether to look no further.
    fn done(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps == 0 || self.found.len() >= MAX_WAYS
    }

    /// Matches the places from `place` on against the segments from `segment` on.
    fn place(&mut self, place: usize, segment: usize) {
        if self.done() {
            return;
        }
        let Some(what) = self.places.get(place) else {
            if segment == self.segments.len() {
                self.accept();
            }
            return;
        };
        match what {
            Place::Segment(atoms) => {
                if let Some(&text) = self.segments.get(segment) {
                    self.atoms(atoms, text, place + 1, segment + 1);
                }
            }
            Place::Many { slot, least } => {
                let rest = self.segments.len() - segment;
                for count in (*least..=rest).rev() {
                    let text = self.run(segment, segment + count);
                    self.with(*slot, text, None, |walk| walk.place(place + 1, segment + count));
                }
            }
            Place::Choice { slot, texts } => {
                for (index, text) in texts.iter().enumerate() {
                    let end = segment + text.len();
                    let Some(here) = self.segments.get(segment..end) else { continue };
                    if here != text.as_slice() {
                        continue;
                    }
                    let before = self.found.len();
                    let taken = self.run(segment, end);
                    self.with(*slot, taken, Some(index), |walk| walk.place(place + 1, end));
                    if self.found.len() > before {
                        break; // the earlier alternative is preferred
                    }
                }
            }
        }
    }

    /// Matches the atoms of one segment against `text`, then goes on behind it.
    fn atoms(&mut self, atoms: &'p [Atom], text: &'k str, place: usize, segment: usize) {
        if self.done() {
            return;
        }
        let Some((atom, rest)) = atoms.split_first() else {
            if text.is_empty() {
                self.place(place, segment);
            }
            return;
        };
        match atom {
            Atom::Text(literal) => {
                if let Some(text) = text.strip_prefix(literal.as_str()) {
                    self.atoms(rest, text, place, segment);
                }
            }
            Atom::Value(_) => {} // put in as text before matching
            Atom::Any { slot, least } => {
                let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).rev();
                for end in ends.filter(|end| *end >= *least) {
                    let (taken, left) = text.split_at(end);
                    if rest.is_empty() && !left.is_empty() {
                        break; // the last wildcard takes all or nothing fits
                    }
                    self.with(*slot, Some(taken), None, |walk| walk.atoms(rest, left, place, segment));
                }
            }
            Atom::Index { slot, range } => {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                for end in (1..=digits).rev() {
                    let (taken, left) = text.split_at(end);
                    if is_index(taken, *range) {
                        self.with(*slot, Some(taken), None, |walk| walk.atoms(rest, left, place, segment));
                    }
                }
            }
            Atom::Choice { slot, texts } => {
                for (index, literal) in texts.iter().enumerate() {
                    let Some(left) = text.strip_prefix(literal.as_str()) else { continue };
                    let before = self.found.len();
                    let taken = text.get(..literal.len());
                    self.with(*slot, taken, Some(index), |walk| walk.atoms(rest, left, place, segment));
                    if self.found.len() > before {
                        break;
                    }
                }
            }
        }
    }

    /// The text of the segments from `first` to before `end`; none where these are no segments.
    fn run(&self, first: usize, end: usize) -> Option<&'k str> {
        let last = self.segments.get(first..end)?.last()?;
        let start = self.offset(self.segments.get(first)?);
        self.key.get(start..self.offset(last) + last.len())
    }

    /// Where in the key a segment begins.
    fn offset(&self, segment: &str) -> usize {
        segment.as_ptr() as usize - self.key.as_ptr() as usize
    }

    /// Goes on with the slot filled, if it is free or holds the same text.
    fn with(
        &mut self,
        slot: Option<usize>,
        text: Option<&'k str>,
        choice: Option<usize>,
        go_on: impl FnOnce(&mut Self),
    ) {
        let Some(slot) = slot else { return go_on(self) };
        match &self.slots[slot] {
            Some((held, _)) if *held != text => {}
            Some(_) => go_on(self),
            None => {
                self.slots[slot] = Some((text, choice));
                go_on(self);
                self.slots[slot] = None;
            }
        }
    }

    fn accept(&mut self) {
        let captures = self.slots.iter().map(|held| match held {
            Some((text, choice)) => Capture { text: text.map(str::to_owned), choice: *choice },
            None => Capture::default(),
        });
        let way = Match { captures: captures.collect() };
        if !self.found.contains(&way) {
            self.found.push(way);
        }
    }
}

/// Whether the text is a number without leading zeros, inside the range.
fn is_index(text: &str, range: Option<(u64, u64)>) -> bool {
    if text.len() > 1 && text.starts_with('0') {
        return false;
    }
    let Ok(number) = text.parse::<u64>() else { return false };
    number <= i64::MAX as u64 && range.is_none_or(|(first, last)| (first..=last).contains(&number))
}
