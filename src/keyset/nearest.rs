//! "Did you mean": keys that are like a pattern or a key, words that are like a word.

use foldhash::HashMap;

/// The share of a key's segments that may be off for it to be suggested.
const MAX_DISTANCE: f64 = 0.5;
/// What a segment too many or too few costs; less than a wrong one and a right one.
const GAP: f64 = 0.8;
/// What a segment costs that only a wildcard stands for: a suggestion that is spelt alike is better.
const WILD: f64 = 0.02;
/// Keys with more segments than this are never suggested, so that a hostile key costs no time.
const MAX_SEGMENTS: usize = 64;
/// Segments longer than this are the same or are not; the edit distance of two takes too long.
const MAX_SEGMENT_LEN: usize = 80;

/// A candidate and how many come before it.
type Numbered<'a> = (usize, &'a str);

/// The candidates that are most like a key or pattern, the nearest first.
///
/// Keys are compared segment by segment; the wildcards of a pattern (`*`, `**`, `{x}`, `layer*`) fit
/// loosely. Candidates that differ only in their indices count as one and the best of them stands for
/// all. Nothing is given where nothing is near.
pub fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>, limit: usize) -> Vec<&'a str> {
    let wanted = parse(wanted);
    if wanted.is_empty() || wanted.len() > MAX_SEGMENTS || limit == 0 {
        return Vec::new();
    }
    // Keys of one form differ in their indices alone: a model of many layers has few forms.
    let mut forms: HashMap<String, Vec<Numbered<'a>>> = HashMap::default();
    for (order, key) in candidates.enumerate() {
        forms.entry(form(key)).or_default().push((order, key));
    }
    let mut scorer = Scorer { wanted: &wanted, known: HashMap::default() };
    let mut best: Vec<(f64, usize, &[Numbered<'a>])> = Vec::new();
    for members in forms.values() {
        let Some(&(order, key)) = members.first() else { continue };
        let distance = scorer.distance(key, true);
        if distance <= MAX_DISTANCE {
            best.push((distance, order, members));
        }
    }
    best.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    best.truncate(limit * 2);
    let index_written = wanted.iter().any(|wanted| matches!(wanted, Wanted::Text(text) if is_index(text)));
    let of_form = best.iter().filter_map(|(distance, order, members)| {
        if !index_written {
            return members.first().map(|&(_, key)| (*distance, *order, key));
        }
        let scored = members.iter().map(|&(order, key)| (scorer.distance(key, false), order, key));
        scored.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
    });
    let mut exact: Vec<(f64, usize, &'a str)> = of_form.collect();
    exact.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    exact.truncate(limit);
    // Beside a near key, one that is much farther away is noise.
    let far = exact.first().map_or(0.0, |nearest| nearest.0 * 2.0 + 0.15);
    exact.retain(|candidate| candidate.0 <= far);
    exact.into_iter().map(|(_, _, key)| key).collect()
}

/// The word most like the one that was written, where one is near enough to be meant.
pub fn nearest_word<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wanted.len() > MAX_SEGMENT_LEN {
        return None;
    }
    let wanted = wanted.to_lowercase();
    let near = candidates.into_iter().filter_map(|word| {
        let lower = word.to_lowercase();
        let edits = strsim::damerau_levenshtein(&wanted, &lower);
        let allowed = wanted.chars().count().max(lower.chars().count()) / 3;
        let is_part =
            wanted.len() > 2 && lower.starts_with(&wanted) || lower.len() > 2 && wanted.starts_with(&lower);
        (edits <= allowed.max(1) && edits < lower.chars().count() || is_part).then_some((edits, word))
    });
    near.min_by_key(|&(edits, _)| edits).map(|(_, word)| word)
}

/// A key with every run of digits written as `#`.
fn form(key: &str) -> String {
    let mut form = String::with_capacity(key.len());
    for char in key.chars() {
        match char {
            '0'..='9' if form.ends_with('#') => {}
            '0'..='9' => form.push('#'),
            _ => form.push(char),
        }
    }
    form
}

/// A segment of what is wanted.
enum Wanted {
    Text(String),
    /// Plain texts, one of which stands here.
    AnyOf(Vec<String>),
    /// One segment of whatever text.
    One,
    /// Any number of segments.
    Many,
    /// Text around wildcards: the parts between them.
    Parts(Vec<String>),
}

/// Reads a pattern loosely; what it cannot read is text.
fn parse(pattern: &str) -> Vec<Wanted> {
    let pattern = pattern.trim_matches('"');
    let segments = split_outside_braces(pattern);
    let last = segments.len() - 1;
    segments.iter().enumerate().map(|(place, segment)| wanted(segment, place == last && place > 0)).collect()
}

fn split_outside_braces(pattern: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (at, char) in pattern.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                segments.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    segments.push(&pattern[start..]);
    segments
}

fn wanted(segment: &str, last: bool) -> Wanted {
    let inner = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|inner| !inner.contains('{'));
    match (segment, inner) {
        ("**", _) => Wanted::Many,
        ("*", _) if last => Wanted::Many,
        ("*", _) => Wanted::One,
        (_, Some(inner)) if inner.contains("**") => Wanted::Many,
        (_, Some(inner)) if inner.contains(['|', ',']) => {
            let choices = inner.rsplit(':').next().unwrap_or(inner);
            if choices.contains('.') {
                return Wanted::Many;
            }
            Wanted::AnyOf(choices.split(['|', ',']).map(|choice| choice.trim().to_owned()).collect())
        }
        (_, Some(_)) => Wanted::One,
        _ if segment.contains(['*', '{']) => Wanted::Parts(literal_parts(segment)),
        _ => Wanted::Text(segment.to_owned()),
    }
}

/// The texts between the wildcards of a segment, the first and the last of them maybe empty.
fn literal_parts(segment: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut depth = 0usize;
    for char in segment.chars() {
        let wildcard = depth == 0 && matches!(char, '*' | '{');
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ if wildcard || depth > 0 => {}
            _ => part.push(char),
        }
        if wildcard {
            parts.push(std::mem::take(&mut part));
        }
    }
    parts.push(part);
    parts
}

struct Scorer<'w, 'a> {
    wanted: &'w [Wanted],
    /// Distances of segments that have been compared: keys have few different ones.
    known: HashMap<(usize, &'a str), f64>,
}

impl<'a> Scorer<'_, 'a> {
    /// How far a key is from what is wanted, from 0 (fits) to 1; `any_index` takes any index for any other.
    fn distance(&mut self, key: &'a str, any_index: bool) -> f64 {
        let segments: Vec<&str> = key.split('.').take(MAX_SEGMENTS + 1).collect();
        if segments.len() > MAX_SEGMENTS {
            return 1.0;
        }
        // The row of an edit distance over segments: cost of the wanted segments so far against the
        // first n segments of the key.
        let mut row: Vec<f64> = (0..=segments.len()).map(|count| count as f64 * GAP).collect();
        for at in 0..self.wanted.len() {
            let many = matches!(self.wanted[at], Wanted::Many);
            let mut next = Vec::with_capacity(row.len());
            next.push(row[0] + if many { 0.0 } else { GAP });
            for (place, segment) in segments.iter().enumerate() {
                let cost = if many {
                    // One more segment below the wildcard, or the wildcard's first, or none at all.
                    row[place + 1].min(next[place] + WILD).min(row[place] + WILD)
                } else {
                    let pair = row[place] + self.segment_distance(at, segment, any_index);
                    pair.min(row[place + 1] + GAP).min(next[place] + GAP)
                };
                next.push(cost);
            }
            row = next;
        }
        let fixed = self.wanted.iter().filter(|wanted| !matches!(wanted, Wanted::Many | Wanted::One)).count();
        let cost = row.last().copied().unwrap_or(1.0);
        cost / fixed.max(1) as f64
    }

    fn segment_distance(&mut self, at: usize, segment: &'a str, any_index: bool) -> f64 {
        if any_index && is_index(segment) && matches!(&self.wanted[at], Wanted::Text(text) if is_index(text))
        {
            return 0.0;
        }
        let wanted = &self.wanted[at];
        *self.known.entry((at, segment)).or_insert_with(|| segment_distance(wanted, segment))
    }
}

fn is_index(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn segment_distance(wanted: &Wanted, segment: &str) -> f64 {
    match wanted {
        Wanted::Text(text) => text_distance(text, segment),
        Wanted::AnyOf(texts) => texts.iter().map(|text| text_distance(text, segment)).fold(1.0, f64::min),
        Wanted::One | Wanted::Many => WILD,
        Wanted::Parts(parts) if fits(parts, segment) => WILD,
        Wanted::Parts(parts) => WILD + text_distance(&parts.concat(), segment),
    }
}

/// Whether a segment has the parts in their order, the first at its start and the last at its end.
fn fits(parts: &[String], segment: &str) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    let Some(mut rest) = segment.strip_prefix(first.as_str()) else { return false };
    for part in parts.iter().skip(1) {
        match rest.find(part.as_str()) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    segment.ends_with(last.as_str())
}

/// From 0 (the same) to 1.
fn text_distance(a: &str, b: &str) -> f64 {
    if a == b {
        return 0.0;
    }
    if is_index(a) && is_index(b) {
        return 0.3;
    }
    if a.len().max(b.len()) > MAX_SEGMENT_LEN {
        return 1.0;
    }
    let edits = 1.0 - strsim::normalized_damerau_levenshtein(a, b);
    // `transformer_encoder` for `encoder`: one name inside of the other is nearer than its edits say.
    let inside = a.len().min(b.len()) > 2 && (a.contains(b) || b.contains(a));
    if inside { edits.min(0.5) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near<'a>(wanted: &str, candidates: &[&'a str]) -> Vec<&'a str> {
        nearest(wanted, candidates.iter().copied(), 3)
    }

    #[test]
    fn a_pattern_finds_what_was_meant() {
        let keys = ["encoder.layer.0.w", "encoder.layer.1.w", "decoder.head.bias", "pooler.dense.weight"];
        assert_eq!(near("encoder.layers.*", &keys).first(), Some(&"encoder.layer.0.w"));
        assert_eq!(near("**.dens.weight", &keys), ["pooler.dense.weight"]);
        assert_eq!(near("encoder.layers.{i}.w", &keys), ["encoder.layer.0.w"]);
        assert_eq!(near("encoder.layers.1.w", &keys), ["encoder.layer.1.w"], "the index that was written");
        assert_eq!(near("encoder.layer*s.{a|b}.v", &["encoder.layers1.b.w"]), ["encoder.layers1.b.w"]);
        assert_eq!(near("model.encoder.layer.0.w", &keys).first(), Some(&"encoder.layer.0.w"));
        assert_eq!(near("optimizer.step", &keys), [""; 0]);
    }

    #[test]
    fn odd_input_is_taken_as_it_is() {
        assert_eq!(near("", &["a"]), [""; 0]);
        assert_eq!(near("}{.{{}.*", &["a.b"]).len(), 0);
        let long = "a.".repeat(100_000);
        assert_eq!(near(&long, &[&long]), [""; 0]);
        assert_eq!(near("**", &["a.b"]), ["a.b"]);
    }

    #[test]
    fn a_word_is_near_or_it_is_not() {
        let verbs = ["rename", "drop", "keep", "split", "merge", "dim"];
        assert_eq!(nearest_word("renam", verbs), Some("rename"));
        assert_eq!(nearest_word("Rename", verbs), Some("rename"));
        assert_eq!(nearest_word("axis", verbs), None);
        assert_eq!(nearest_word("mrege", verbs), Some("merge"));
        assert_eq!(nearest_word("dims", verbs), Some("dim"));
        assert_eq!(nearest_word("delete", verbs), None);
    }

    proptest! {
        #[test]
        fn whatever_is_written_does_no_harm(wanted in "[a.*{}|,:/\"0é]{0,12}", keys in proptest::collection::vec("[a.0é]{0,8}", 0..6)) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            prop_assert!(near(&wanted, &keys).len() <= 3);
            for key in &keys {
                prop_assert_eq!(near(key, &[key]), [*key]);
            }
        }
    }
}
