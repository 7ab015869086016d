//! What every key that matches a pattern must hold, so that an index can tell which keys are worth matching.

use regex_syntax::hir::literal::Extractor;

use super::pattern::{Atom, Form, Pattern, Place};

/// How many texts a segment of several alternatives is written out to.
const MAX_TEXTS: usize = 64;

impl Pattern {
    /// Texts one of which is a whole segment of every key that matches, for each place that says so.
    ///
    /// The pattern must have no `let` names left.
    pub fn needs(&self) -> Vec<Vec<String>> {
        match &self.form {
            Form::Places(places) => places.iter().filter_map(of_place).collect(),
            Form::Regex(regex) => of_regex(regex.as_str()).into_iter().collect(),
        }
    }
}

/// A segment of each literal with which a match of an anchored expression can begin.
fn of_regex(regex: &str) -> Option<Vec<String>> {
    let beginnings = Extractor::new().extract(&regex_syntax::parse(regex).ok()?);
    let whole = beginnings.literals()?.iter().map(|literal| {
        // What stands behind the last dot may go on.
        let (segments, _) = std::str::from_utf8(literal.as_bytes()).ok()?.rsplit_once('.')?;
        segments.split('.').max_by_key(|segment| segment.len()).map(str::to_owned)
    });
    whole.collect()
}

fn of_place(place: &Place) -> Option<Vec<String>> {
    match place {
        Place::Segment(atoms) => of_atoms(atoms),
        Place::Many { .. } => None,
        // Of several segments the longest, which is the least likely to be in every key; where an alternative
        // has none, nothing must be there.
        Place::Choice { texts, .. } => texts
            .iter()
            .map(|segments| segments.iter().max_by_key(|segment| segment.len()).cloned())
            .collect(),
    }
}

/// All texts of a segment, where it is made of plain text and alternatives and there are few.
fn of_atoms(atoms: &[Atom]) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    for atom in atoms {
        let nexts = match atom {
            Atom::Text(text) => std::slice::from_ref(text),
            Atom::Choice { texts, .. } => texts,
            Atom::Value(_) | Atom::Any { .. } | Atom::Index { .. } => return None,
        };
        if texts.len().saturating_mul(nexts.len()) > MAX_TEXTS {
            return None;
        }
        texts = texts.iter().flat_map(|text| nexts.iter().map(move |next| format!("{text}{next}"))).collect();
    }
    Some(texts)
}
