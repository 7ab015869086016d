//! Patterns as the matcher sees them: places between dots, each with what may stand there.

use regex::Regex;

use super::error::RuleErrorKind;
use super::matching::Match;
use crate::source::Span;
use crate::syntax::ast::{CaptureKind, Glob, GlobKind, Part, Spanned};

/// More places than any real key has; the matcher recurses over them.
const MAX_PLACES: usize = 128;

/// A pattern for whole keys.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it is written, with the prefix of `under`.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// What it matches.
    pub form: Form,
    /// What its wildcards capture, in the order in which they stand; a name that stands twice has one slot.
    pub slots: Vec<Slot>,
}

/// The two forms of a pattern.
#[derive(Clone, Debug)]
pub enum Form {
    /// Places separated by dots.
    Places(Vec<Place>),
    /// An anchored regular expression; its named groups are the slots.
    Regex(Regex),
}

/// What stands between two dots, or in the place of several segments.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Exactly one segment.
    Segment(Vec<Atom>),
    /// Any number of whole segments, at least `least`.
    Many {
        /// The slot that captures them.
        slot: Option<usize>,
        /// 0 for `**`, 1 for a last `*`.
        least: usize,
    },
    /// One of these runs of whole segments, which may be empty.
    Choice {
        /// The slot that remembers which.
        slot: Option<usize>,
        /// Each alternative as its segments.
        texts: Vec<Vec<String>>,
    },
}

/// A piece of one segment.
#[derive(Clone, Debug, PartialEq)]
pub enum Atom {
    /// Itself.
    Text(String),
    /// The value of a `let` name, put in as text before matching.
    Value(String),
    /// Zero or more characters (`*`), or one or more (`{x}`).
    Any {
        /// The slot that captures them.
        slot: Option<usize>,
        /// The least number of characters.
        least: usize,
    },
    /// Digits without leading zeros, inside the range where there is one.
    Index {
        /// The slot that captures them.
        slot: Option<usize>,
        /// The first and last index allowed.
        range: Option<(u64, u64)>,
    },
    /// One of these texts.
    Choice {
        /// The slot that remembers which.
        slot: Option<usize>,
        /// The texts, in the order in which they are tried.
        texts: Vec<String>,
    },
}

/// What one wildcard captures.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The name, or `None` for `*`, `**` and nameless alternatives.
    pub name: Option<String>,
    /// What kind of wildcard it is.
    pub kind: SlotKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of wildcard, as pairing with a template sees them.
#[derive(Clone, Debug, PartialEq)]
pub enum SlotKind {
    /// `*`.
    Star,
    /// `**`.
    DoubleStar,
    /// `{x}`, `{x:**}`.
    Text,
    /// `{i:int}`, or a name that arithmetic uses.
    Index {
        /// The range that is written, where one is.
        range: Option<(u64, u64)>,
    },
    /// `{a|b}` with this many alternatives.
    Choice {
        /// The alternatives as written.
        texts: Vec<String>,
    },
}

/// What a pattern's names can mean where it stands.
pub struct Names<'a> {
    /// Names of `let` lines above.
    pub lets: &'a dyn Fn(&str) -> bool,
    /// Names that arithmetic, a condition or `over` uses as an index.
    pub indices: &'a dyn Fn(&str) -> bool,
}

impl Pattern {
    /// Builds a pattern from what is written; lists must have been expanded before.
    ///
    /// # Errors
    /// Arithmetic, a broken regular expression, two `**` in a row, an empty segment, too many places.
    pub fn new(glob: &Glob, text: String, names: &Names) -> Result<Pattern, Spanned<RuleErrorKind>> {
        let parts = match &glob.kind {
            GlobKind::Parts(parts) => parts,
            GlobKind::Regex(regex) => return Pattern::regex(regex, text, glob.span),
        };
        let mut builder = Builder { names, slots: Vec::new() };
        let mut places = Vec::new();
        let groups: Vec<&[Spanned<Part>]> = parts.split(|part| part.node == Part::Dot).collect();
        let count = groups.len();
        for (index, group) in groups.into_iter().enumerate() {
            builder.place(group, index + 1 == count, glob.span, &mut places)?;
        }
        if places.len() > MAX_PLACES {
            return Err(Spanned::new(RuleErrorKind::PatternTooLong { most: MAX_PLACES }, glob.span));
        }
        let is_many = |place: &Place| matches!(place, Place::Many { .. });
        if places.windows(2).any(|pair| is_many(&pair[0]) && is_many(&pair[1])) {
            return Err(Spanned::new(RuleErrorKind::AdjacentStars, glob.span));
        }
        Ok(Pattern { text, span: glob.span, form: Form::Places(places), slots: builder.slots })
    }

    fn regex(regex: &str, text: String, span: Span) -> Result<Pattern, Spanned<RuleErrorKind>> {
        let anchored = Regex::new(&format!("^(?s:{regex})$"));
        let anchored = anchored.map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Spanned::new(RuleErrorKind::Regex { reason }, span)
        })?;
        let names = anchored.capture_names().flatten();
        let slots = names.map(|name| Slot { name: Some(name.to_owned()), kind: SlotKind::Text, span });
        Ok(Pattern { text, span, slots: slots.collect(), form: Form::Regex(anchored) })
    }

    /// The slot of this name.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name.as_deref() == Some(name))
    }

    /// The slots of nameless wildcards (`*`, `**`), in order.
    pub fn stars(&self) -> impl Iterator<Item = usize> {
        self.nameless(|kind| matches!(kind, SlotKind::Star | SlotKind::DoubleStar))
    }

    /// The slots of nameless alternatives, in order.
    pub fn choices(&self) -> impl Iterator<Item = usize> {
        self.nameless(|kind| matches!(kind, SlotKind::Choice { .. }))
    }

    fn nameless(&self, wanted: fn(&SlotKind) -> bool) -> impl Iterator<Item = usize> {
        let slots = self.slots.iter().enumerate();
        slots.filter(move |(_, slot)| slot.name.is_none() && wanted(&slot.kind)).map(|(index, _)| index)
    }

    /// The key that the pattern stands for, where it has no wildcard.
    pub fn literal(&self) -> Option<String> {
        let Form::Places(places) = &self.form else { return None };
        let mut segments = Vec::new();
        for place in places {
            match place {
                Place::Segment(atoms) => match atoms.as_slice() {
                    [Atom::Text(text)] => segments.push(text.as_str()),
                    [] => segments.push(""),
                    _ => return None,
                },
                _ => return None,
            }
        }
        Some(segments.join("."))
    }

    /// The key that this pattern would match beside the one that `other` matched in this way: its
    /// wildcards take what the partners of their kind hold. `None` where a wildcard has no partner.
    pub fn fill_in(&self, other: &Pattern, way: &Match) -> Option<String> {
        let Form::Places(places) = &self.form else { return None };
        let stars: Vec<usize> = other.stars().collect();
        let text = |slot: Option<usize>| -> Option<Option<String>> {
            let own = &self.slots[slot?];
            let partner = match &own.name {
                Some(name) => other.slot(name)?,
                None => {
                    let nth = self.stars().position(|star| Some(star) == slot)?;
                    *stars.get(nth)?
                }
            };
            Some(way.captures.get(partner)?.text.clone())
        };
        let mut segments: Vec<String> = Vec::new();
        for place in places {
            match place {
                Place::Segment(atoms) => {
                    let mut segment = String::new();
                    for atom in atoms {
                        match atom {
                            Atom::Text(text) => segment.push_str(text),
                            Atom::Any { slot, .. } | Atom::Index { slot, .. } => {
                                segment.push_str(&text(*slot)??)
                            }
                            Atom::Value(_) | Atom::Choice { .. } => return None,
                        }
                    }
                    segments.push(segment);
                }
                Place::Many { slot, .. } => segments.extend(text(*slot)?),
                Place::Choice { .. } => return None,
            }
        }
        Some(segments.join("."))
    }

    /// The pattern with `let` names replaced by their values.
    pub fn with_values(&self, value: &dyn Fn(&str) -> Option<String>) -> Pattern {
        let mut pattern = self.clone();
        if let Form::Places(places) = &mut pattern.form {
            for place in places {
                let Place::Segment(atoms) = place else { continue };
                for atom in atoms.iter_mut() {
                    if let Atom::Value(name) = atom {
                        *atom = Atom::Text(value(name).unwrap_or_default());
                    }
                }
                join_texts(atoms);
            }
        }
        pattern
    }

    /// Whether the value of this `let` name stands in the pattern.
    pub fn uses_value(&self, name: &str) -> bool {
        let Form::Places(places) = &self.form else { return false };
        places.iter().any(|place| match place {
            Place::Segment(atoms) => atoms.iter().any(|atom| matches!(atom, Atom::Value(own) if own == name)),
            _ => false,
        })
    }

    /// Whether a `let` name stands in the pattern.
    pub fn has_values(&self) -> bool {
        let Form::Places(places) = &self.form else { return false };
        places.iter().any(|place| match place {
            Place::Segment(atoms) => atoms.iter().any(|atom| matches!(atom, Atom::Value(_))),
            _ => false,
        })
    }
}

/// Texts side by side are one text, so that a literal pattern is seen as such.
fn join_texts(atoms: &mut Vec<Atom>) {
    let mut joined: Vec<Atom> = Vec::with_capacity(atoms.len());
    for atom in atoms.drain(..) {
        match (joined.last_mut(), atom) {
            (Some(Atom::Text(before)), Atom::Text(text)) => before.push_str(&text),
            (_, atom) => joined.push(atom),
        }
    }
    *atoms = joined;
}

struct Builder<'a> {
    names: &'a Names<'a>,
    slots: Vec<Slot>,
}

impl Builder<'_> {
    /// Adds the place that the parts between two dots make (several, where quoted text holds dots).
    fn place(
        &mut self,
        group: &[Spanned<Part>],
        last: bool,
        glob: Span,
        places: &mut Vec<Place>,
    ) -> Result<(), Spanned<RuleErrorKind>> {
        if let [only] = group {
            match &only.node {
                Part::Star if last => {
                    let slot = Some(self.nameless(SlotKind::Star, only.span));
                    places.push(Place::Many { slot, least: 1 });
                    return Ok(());
                }
                Part::DoubleStar => {
                    let slot = Some(self.nameless(SlotKind::DoubleStar, only.span));
                    places.push(Place::Many { slot, least: 0 });
                    return Ok(());
                }
                Part::Capture(name, Some(CaptureKind::AnyDepth)) => {
                    let slot = self.named(&name.node, SlotKind::Text, only.span);
                    places.push(Place::Many { slot, least: 0 });
                    return Ok(());
                }
                Part::Alternatives(name, texts) => {
                    let texts: Vec<String> = texts.iter().map(|text| text.node.clone()).collect();
                    let segments = texts.iter().map(|text| match text.as_str() {
                        "" => Vec::new(),
                        text => text.split('.').map(str::to_owned).collect(),
                    });
                    let segments = segments.collect();
                    let slot = self.choice(name.as_ref().map(|name| &*name.node), texts, only.span);
                    places.push(Place::Choice { slot, texts: segments });
                    return Ok(());
                }
                _ => {}
            }
        }
        if group.is_empty() {
            return Err(Spanned::new(RuleErrorKind::EmptySegment, glob));
        }
        let mut atoms = Vec::new();
        for part in group {
            let atom = match &part.node {
                Part::Text(text) => {
                    let mut pieces = text.split('.');
                    atoms.push(Atom::Text(pieces.next().unwrap_or_default().to_owned()));
                    for piece in pieces {
                        join_texts(&mut atoms);
                        places.push(Place::Segment(std::mem::take(&mut atoms)));
                        atoms.push(Atom::Text(piece.to_owned()));
                    }
                    continue;
                }
                Part::Star => Atom::Any { slot: Some(self.nameless(SlotKind::Star, part.span)), least: 0 },
                Part::Capture(name, kind) => self.capture(&name.node, kind.as_ref(), part.span)?,
                Part::Alternatives(name, texts) => {
                    let texts: Vec<String> = texts.iter().map(|text| text.node.clone()).collect();
                    let slot = self.choice(name.as_ref().map(|name| &*name.node), texts.clone(), part.span);
                    Atom::Choice { slot, texts }
                }
                Part::DoubleStar => return Err(Spanned::new(RuleErrorKind::StarsBesideText, part.span)),
                Part::Arithmetic(_) => {
                    return Err(Spanned::new(RuleErrorKind::ArithmeticInPattern, part.span));
                }
                Part::List(_) | Part::Dot => {
                    return Err(Spanned::new(RuleErrorKind::ListHere, part.span));
                }
            };
            atoms.push(atom);
        }
        join_texts(&mut atoms);
        places.push(Place::Segment(atoms));
        Ok(())
    }

    fn capture(
        &mut self,
        name: &str,
        kind: Option<&CaptureKind>,
        span: Span,
    ) -> Result<Atom, Spanned<RuleErrorKind>> {
        if kind.is_none() && (self.names.lets)(name) {
            return Ok(Atom::Value(name.to_owned()));
        }
        let range = match kind {
            Some(CaptureKind::AnyDepth) => return Err(Spanned::new(RuleErrorKind::StarsBesideText, span)),
            Some(CaptureKind::Range(first, last)) if first > last => {
                return Err(Spanned::new(RuleErrorKind::EmptyRange { first: *first, last: *last }, span));
            }
            Some(CaptureKind::Range(first, last)) => Some((*first, *last)),
            Some(CaptureKind::Int) => None,
            None if (self.names.indices)(name) => None,
            None => {
                let slot = self.named(name, SlotKind::Text, span);
                return Ok(Atom::Any { slot, least: 1 });
            }
        };
        Ok(Atom::Index { slot: self.named(name, SlotKind::Index { range }, span), range })
    }

    fn choice(&mut self, name: Option<&str>, texts: Vec<String>, span: Span) -> Option<usize> {
        let kind = SlotKind::Choice { texts };
        match name {
            Some(name) => self.named(name, kind, span),
            None => Some(self.nameless(kind, span)),
        }
    }

    fn nameless(&mut self, kind: SlotKind, span: Span) -> usize {
        self.slots.push(Slot { name: None, kind, span });
        self.slots.len() - 1
    }

    /// The slot of a name; `{_}` has none.
    fn named(&mut self, name: &str, kind: SlotKind, span: Span) -> Option<usize> {
        if name == "_" {
            return None;
        }
        let found = self.slots.iter().position(|slot| slot.name.as_deref() == Some(name));
        Some(found.unwrap_or_else(|| {
            self.slots.push(Slot { name: Some(name.to_owned()), kind, span });
            self.slots.len() - 1
        }))
    }
}
