//! Which keys are worth matching against a pattern: an index from segments to the keys that have them.

use foldhash::HashMap;

use crate::keyset::{KeySet, segments};
use crate::rules::Pattern;

/// The numbers of keys by their segments.
///
/// Whatever else a pattern says, most name a segment: `layers.{i}.attn.qkv.weight`, `**.bias`. Of those that
/// it names, the one that the fewest keys have leads to all that can match.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The numbers of the keys that have a segment, ascending.
    by_segment: HashMap<Box<str>, Vec<u32>>,
}

impl Index {
    /// The index of a key set, whose keys have their places as numbers.
    pub fn of(keyset: &KeySet) -> Self {
        let mut index = Index::default();
        for (number, (key, _)) in (0..).zip(keyset.iter()) {
            index.add(key, number);
        }
        index
    }

    /// Takes a key in; its number must be greater than those before.
    pub fn add(&mut self, key: &str, number: u32) {
        for segment in segments(key) {
            match self.by_segment.get_mut(segment) {
                Some(numbers) if numbers.last() == Some(&number) => {}
                Some(numbers) => numbers.push(number),
                None => drop(self.by_segment.insert(segment.into(), vec![number])),
            }
        }
    }

    /// The numbers of all keys that can match and of some that cannot, ascending; `None` where the pattern
    /// names no segment that fewer than `all` keys have, so that trying each is no slower.
    pub fn candidates(&self, pattern: &Pattern, all: usize) -> Option<Vec<u32>> {
        let needs = pattern.needs();
        let lists = needs.iter().map(|texts| {
            let lists = texts.iter().filter_map(|text| self.by_segment.get(text.as_str()));
            lists.collect::<Vec<&Vec<u32>>>()
        });
        let size = |lists: &[&Vec<u32>]| lists.iter().map(|list| list.len()).sum::<usize>();
        let least = lists.min_by_key(|lists| size(lists)).filter(|lists| size(lists) < all)?;
        let mut numbers: Vec<u32> = least.iter().flat_map(|list| list.iter().copied()).collect();
        if least.len() > 1 {
            numbers.sort_unstable();
            numbers.dedup();
        }
        Some(numbers)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::arena::Arena;
    use super::super::state::{Change, Entry, EntryId, Parents, State};
    use crate::rules::{Given, Matcher, Pattern, Step, resolve};
    use crate::source::Sources;
    use crate::syntax;
    use crate::tensor::{Dtype, TensorSpec};

    /// A place of a pattern, of every form that there is.
    fn place() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[ab]{1,2}",
            2 => "[0-2]",
            1 => Just("*".to_owned()),
            1 => Just("**".to_owned()),
            1 => "[ab]?\\*[ab]?",
            1 => "\\{[xy]\\}",
            1 => "\\{[ij]:int\\}",
            1 => "\\{n:0\\.\\.1\\}",
            1 => "\\{r:\\*\\*\\}",
            2 => "[ab]?\\{(a|b|ab)\\|[0-2ab]\\}[ab]?",
            1 => "\\{(a\\.b|a|b\\.0)\\|(|b|0\\.a)\\}",
            1 => "\"[ab]{1,2}(\\.[ab0])?\"",
        ]
    }

    fn pattern() -> impl Strategy<Value = String> {
        let regex = "/(a|b|ab)\\\\\\.([ab0]\\\\\\.|\\[ab\\]\\+|\\(a\\|b\\))([ab0]|\\.\\*)(\\|b\\.a)?/";
        prop_oneof![6 => proptest::collection::vec(place(), 1..5).prop_map(|places| places.join(".")), 1 => regex]
    }

    /// The pattern of a statement, where the text is one.
    fn resolved(text: &str) -> Option<Pattern> {
        let (mut sources, text) = (Sources::new(), format!("drop {text}"));
        let file = sources.add("r.rules", text.as_str());
        let (ast, errors) = syntax::parse(&text, file);
        let resolved = resolve(&ast, &sources, &Given::default());
        let Some(Step::Statement(statement)) = resolved.rules.steps.into_iter().next() else { return None };
        let pattern = statement.clauses.into_iter().next()?.patterns.into_iter().next();
        pattern.filter(|_| errors.is_empty() && resolved.errors.is_empty())
    }

    /// A state after some keys have been renamed, dropped and cut in two.
    fn state(keys: &[String], fates: &[u8]) -> State {
        let expr = Arena::default().add_source(0, TensorSpec::new(Dtype::F32, []));
        let entry = |key: &str| Entry { key: key.into(), expr, parents: Parents::new(), statement: None };
        let mut state = State::default();
        keys.iter().for_each(|key| state.push(entry(key)));
        for round in fates.chunks(8) {
            let mut change = Change::default();
            for ((id, held), fate) in state.iter().zip(round.iter().cycle()) {
                let parts: &[&str] = match fate {
                    0 => &[],
                    1 => &["b"],
                    2 => &["a", "0"],
                    _ => continue,
                };
                change.removed.push(id);
                let key = |part: &&str| entry(&format!("{}.{part}", held.key));
                change.added.extend(parts.iter().map(|part| (key(part), Some(id))));
            }
            change.removed.sort_unstable();
            state.apply(change);
        }
        state
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_index_leads_to_what_matching_every_key_finds(
            keys in proptest::collection::hash_set(r"[ab0-2]{1,2}(\.[ab0-2]{0,2}){0,4}", 0..40),
            fates in proptest::collection::vec(0u8..6, 0..24),
            text in pattern(),
        ) {
            let Some(pattern) = resolved(&text) else { return Ok(()) };
            let keys: Vec<String> = keys.into_iter().collect();
            let state = state(&keys, &fates);
            let matcher = Matcher::new(&pattern);
            let matches = |id: &EntryId| matcher.is_match(&state.entry(*id).key);
            let by_index: Vec<EntryId> = state.candidates(&pattern).into_iter().filter(matches).collect();
            let by_hand: Vec<EntryId> = state.iter().map(|(id, _)| id).filter(matches).collect();
            prop_assert_eq!(by_index, by_hand, "{}", text);
        }
    }

    #[test]
    fn patterns_name_what_their_keys_must_have() {
        let table: &[(&str, &[&[&str]])] = &[
            ("layers.{i}.attn.*", &[&["layers"], &["attn"]]),
            ("**.{q|k}_proj.bias", &[&["q_proj", "k_proj"], &["bias"]]),
            ("{module|}.**.w", &[&["w"]]),
            ("{a.long|b}.*", &[&["long", "b"]]),
            ("layer*", &[]),
            (r"/(enc|dec)\.head\.(?P<x>.*)/", &[&["head", "head"]]),
            (r"/.*\.head/", &[]),
        ];
        for (text, wanted) in table {
            assert_eq!(resolved(text).map(|pattern| pattern.needs()).unwrap(), *wanted, "{text}");
        }
    }
}
