//! Which keys are worth matching against a pattern: an index from segments to the keys that have them.

use std::collections::HashMap;

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
    /// Takes a key in; its number must be greater than those before.
    pub fn add(&mut self, key: &str, number: u32) {
        for segment in key.split('.') {
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
