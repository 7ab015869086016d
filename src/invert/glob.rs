//! Keys as patterns write them, and several keys as one pattern.

use crate::keyset::Key;

/// A segment as a pattern writes it: itself, or quoted where it holds signs of the language.
pub(super) fn literal(segment: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "_-+@:/".contains(char);
    let bare = !segment.is_empty() && segment.chars().all(plain) && !segment.starts_with('/');
    if bare {
        return segment.to_owned();
    }
    let mut text = String::from("\"");
    for char in segment.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            char => text.push(char),
        }
    }
    text.push('"');
    text
}

/// A whole key as a pattern writes it.
pub(super) fn literal_key(key: &str) -> String {
    if key.split('.').any(str::is_empty) {
        return literal(key);
    }
    let segments: Vec<String> = key.split('.').map(literal).collect();
    segments.join(".")
}

/// A segment of one or several keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment {
    /// The same in all of them.
    Text(String),
    /// One text for each of them, in their order.
    List(Vec<String>),
    /// The index that `over` runs, between texts.
    Over(String, String),
}

/// The keys of one side of a statement.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// One pattern for all of them, or one for each.
    pub globs: Vec<Vec<Segment>>,
    /// The first and last value of the index that `over` runs.
    pub over: Option<(u64, u64)>,
}

/// The ways to write these keys as one side of a statement, the shortest first.
pub(super) fn sides(keys: &[&Key]) -> Vec<Side> {
    let split: Vec<Vec<&str>> = keys.iter().map(|key| key.split('.').collect()).collect();
    let text = |segment: &&str| Segment::Text((*segment).to_owned());
    let each = split.iter().map(|segments| segments.iter().map(text).collect()).collect();
    let mut sides = vec![Side { globs: each, over: None }];
    let Some((place, texts)) = one_difference(&split) else { return sides };
    let with = |segment: Segment| -> Vec<Segment> {
        let mut segments: Vec<Segment> = split[0].iter().map(text).collect();
        segments[place] = segment;
        segments
    };
    let listable = |text: &&str| text.chars().all(|char| char.is_alphanumeric() || "_-+".contains(char));
    // Of whole keys a list is no shorter than they are.
    if split[0].len() > 1 && texts.iter().all(listable) {
        let list = Segment::List(texts.iter().map(|text| (*text).to_owned()).collect());
        sides.insert(0, Side { globs: vec![with(list)], over: None });
    }
    if let Some((before, after, first, last)) = run(&texts) {
        let over = Some((first, last));
        sides.insert(0, Side { globs: vec![with(Segment::Over(before, after))], over });
    }
    sides
}

/// The one place where keys of equal length differ, and what stands there in each.
fn one_difference<'a>(keys: &[Vec<&'a str>]) -> Option<(usize, Vec<&'a str>)> {
    let first = keys.first()?;
    if keys.len() < 2 || keys.iter().any(|key| key.len() != first.len()) {
        return None;
    }
    let differs = |place: &usize| keys.iter().any(|key| key[*place] != first[*place]);
    let mut places = (0..first.len()).filter(differs);
    let place = places.next()?;
    places.next().is_none().then(|| (place, keys.iter().map(|key| key[place]).collect()))
}

/// Texts that are alike but for an index that counts up: what stands before and behind it, and its ends.
fn run(texts: &[&str]) -> Option<(String, String, u64, u64)> {
    let first = texts.first()?;
    let start = first.find(|char: char| char.is_ascii_digit())?;
    let end = first[start..].find(|char: char| !char.is_ascii_digit()).map_or(first.len(), |len| start + len);
    let (before, after) = (&first[..start], &first[end..]);
    let index = |text: &str| {
        let digits = text.strip_prefix(before)?.strip_suffix(after)?;
        number(digits)
    };
    let begin = index(first)?;
    let counts = (begin..).zip(texts).all(|(wanted, text)| index(text) == Some(wanted));
    let last = begin.checked_add(texts.len() as u64 - 1)?;
    counts.then(|| (before.to_owned(), after.to_owned(), begin, last))
}

/// The index that a text is, which has no leading zero.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}
