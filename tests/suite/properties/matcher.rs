//! The matcher against an oracle that tries every division of the key.

use std::collections::BTreeSet;

use ckpt_migrate::rules::{Matcher, Pattern, Step};
use proptest::prelude::*;
use proptest::sample::select;

use crate::pipeline;

/// The matcher looks at no more ways than this.
const MAX_WAYS: usize = 16;

/// What each wildcard holds, in the order of the pattern; `None` for zero segments.
type Way = Vec<Option<String>>;

/// A piece of a pattern as the oracle sees it.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Text(&'static str),
    /// `*` beside text.
    Star,
    /// `{x}`.
    Name,
}

/// A segment, or several.
#[derive(Clone, Debug)]
enum Place {
    One(Vec<Piece>),
    /// `**`, or a last `*` (at least one).
    Many(usize),
}

fn segment() -> impl Strategy<Value = (&'static str, Place)> {
    use Piece::{Name, Star, Text};
    select(vec![
        ("a", Place::One(vec![Text("a")])),
        ("b", Place::One(vec![Text("b")])),
        ("*", Place::One(vec![Star])),
        ("**", Place::Many(0)),
        ("{x}", Place::One(vec![Name])),
        ("a*", Place::One(vec![Text("a"), Star])),
        ("*b", Place::One(vec![Star, Text("b")])),
        ("*a*", Place::One(vec![Star, Text("a"), Star])),
        ("{x}b", Place::One(vec![Name, Text("b")])),
        ("a{x}", Place::One(vec![Text("a"), Name])),
    ])
}

/// A pattern that the language accepts, with the oracle's view of it.
fn pattern() -> impl Strategy<Value = (String, Vec<Place>)> {
    prop::collection::vec(segment(), 1..5)
        .prop_filter("one `**` takes all that two would", |segments| {
            let is_many = |index: usize| {
                matches!(segments[index].1, Place::Many(_))
                    || (index + 1 == segments.len() && segments[index].0 == "*")
            };
            (1..segments.len()).all(|index| !(is_many(index - 1) && is_many(index)))
        })
        .prop_map(|segments| {
            let text: Vec<&str> = segments.iter().map(|(text, _)| *text).collect();
            let mut places: Vec<Place> = segments.iter().map(|(_, place)| place.clone()).collect();
            if text.last() == Some(&"*") {
                *places.last_mut().unwrap() = Place::Many(1);
            }
            (text.join("."), places)
        })
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(select(vec!["a", "b", "ab", "aa", "abb", "c"]), 1..6)
        .prop_map(|segments| segments.join("."))
}

/// Every way in which the key's segments fit the places.
fn ways(places: &[Place], segments: &[&str]) -> Vec<Way> {
    let Some((place, rest)) = places.split_first() else {
        return if segments.is_empty() { vec![Vec::new()] } else { Vec::new() };
    };
    let mut found = Vec::new();
    match place {
        Place::Many(least) => {
            for count in *least..=segments.len() {
                let text = (count > 0).then(|| segments[..count].join("."));
                extend(&mut found, &[vec![text]], ways(rest, &segments[count..]));
            }
        }
        Place::One(pieces) => {
            if let Some((first, behind)) = segments.split_first() {
                extend(&mut found, &in_segment(pieces, first), ways(rest, behind));
            }
        }
    }
    found
}

fn in_segment(pieces: &[Piece], text: &str) -> Vec<Way> {
    let Some((piece, rest)) = pieces.split_first() else {
        return if text.is_empty() { vec![Vec::new()] } else { Vec::new() };
    };
    let mut found = Vec::new();
    for end in 0..=text.len() {
        let (taken, left) = text.split_at(end);
        let held = match piece {
            Piece::Text(wanted) if taken != *wanted => continue,
            Piece::Text(_) => Vec::new(),
            Piece::Name if taken.is_empty() => continue,
            Piece::Star | Piece::Name => vec![Some(taken.to_owned())],
        };
        extend(&mut found, &[held], in_segment(rest, left));
    }
    found
}

fn extend(found: &mut Vec<Way>, heads: &[Way], tails: Vec<Way>) {
    for tail in tails {
        found.extend(heads.iter().map(|head| head.iter().chain(&tail).cloned().collect::<Way>()));
    }
}

/// A way with the captures of one name joined into one slot, or `None` where they differ.
fn slots(places: &[Place], way: &Way) -> Option<Way> {
    let is_name = places.iter().flat_map(|place| match place {
        Place::Many(_) => vec![false],
        Place::One(pieces) => pieces
            .iter()
            .filter(|piece| !matches!(piece, Piece::Text(_)))
            .map(|piece| matches!(piece, Piece::Name))
            .collect(),
    });
    let mut held: Option<&Option<String>> = None;
    let mut slots = Vec::new();
    for (is_name, text) in is_name.zip(way) {
        match held {
            Some(first) if is_name && first != text => return None,
            Some(_) if is_name => continue,
            None if is_name => held = Some(text),
            _ => {}
        }
        slots.push(text.clone());
    }
    Some(slots)
}

fn built(text: &str) -> Pattern {
    let rules = pipeline::rules(&format!("drop? {text}"));
    assert!(rules.errors.is_empty(), "{text}: {:?}", rules.errors);
    match &rules.resolved.rules.steps[0] {
        Step::Statement(statement) => statement.clauses[0].patterns[0].clone(),
        Step::Let(_) => unreachable!("the text is a statement"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_matcher_finds_the_ways_of_the_oracle((text, places) in pattern(), key in key()) {
        let segments: Vec<&str> = key.split('.').collect();
        let wanted: BTreeSet<Way> =
            ways(&places, &segments).iter().filter_map(|way| slots(&places, way)).collect();
        let pattern = built(&text);
        let found = Matcher::new(&pattern).ways(&key).unwrap();
        let found: BTreeSet<Way> = found
            .into_iter()
            .map(|way| way.captures.into_iter().map(|capture| capture.text).collect())
            .collect();
        if wanted.len() < MAX_WAYS {
            prop_assert_eq!(found, wanted, "{} against {}", text, key);
        } else {
            prop_assert!(found.len() == MAX_WAYS && found.is_subset(&wanted), "{} against {}", text, key);
        }
    }
}
