//! Renames that could have led from the keys of one version to those of the next: guesses, by name and shape.

use foldhash::{HashMap, HashSet};

use indexmap::IndexMap;

use super::{Difference, Key, KeySet};

/// How many pairs of keys are looked at, and how many guesses are tried on all keys: what is left out are
/// guesses alone.
const MAX_PAIRS: usize = 200_000;
const MAX_TRIED: usize = 500;

/// A rename that would make unexpected keys missing ones of the same shape, and touch no other key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// What the old names have.
    pub from: Form,
    /// What the new ones have in its place.
    pub to: Form,
    /// The unexpected keys, each with the missing one that it would be.
    pub pairs: Vec<(Key, Key)>,
}

/// A row of segments in a key; what lies around it stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Whether anything may stand before it.
    pub head: bool,
    /// Its segments; `None` is any one segment.
    pub middle: Vec<Option<String>>,
    /// Whether anything may stand behind it.
    pub tail: bool,
}

impl Form {
    /// Where it stands in a key, if that is one place.
    fn place(&self, key: &[&str]) -> Place {
        let width = self.middle.len();
        let Some(last) = key.len().checked_sub(width) else { return Place::None };
        let starts = if self.head { 0..=last } else { 0..=0 };
        let fits = |start: &usize| {
            let own = key.iter().skip(*start).zip(&self.middle);
            (self.tail || *start == last)
                && own.into_iter().all(|(segment, own)| own.as_ref().is_none_or(|own| own == segment))
        };
        let mut found = starts.filter(fits);
        match (found.next(), found.next()) {
            (None, _) => Place::None,
            (Some(start), None) => Place::One(start),
            _ => Place::Several,
        }
    }

    /// The key with this in the place of `from`, which stands at `start`.
    fn put(&self, key: &[&str], start: usize, from: &Form) -> String {
        let own = key.iter().skip(start).zip(&from.middle);
        let mut any = own.filter(|(_, segment)| segment.is_none()).map(|(segment, _)| *segment);
        let mut made: Vec<&str> = key.iter().take(start).copied().collect();
        made.extend(self.middle.iter().filter_map(|own| own.as_deref().or_else(|| any.next())));
        made.extend(key.iter().skip(start + from.middle.len()));
        made.join(".")
    }
}

enum Place {
    None,
    One(usize),
    Several,
}

/// The renames that names and shapes allow, those of most keys first. Of two ways to say the same there is one;
/// what could have become one of several has each of them.
pub fn moves(old: &KeySet, difference: &Difference) -> Vec<Move> {
    let missing: HashMap<&str, &[u64]> = difference
        .missing
        .iter()
        .filter_map(|(key, spec)| Some((&**key, spec.as_ref()?.shape.as_slice())))
        .collect();
    let unexpected: HashMap<&str, &[u64]> =
        difference.unexpected.iter().map(|(key, spec)| (&**key, spec.shape.as_slice())).collect();
    let mut forms: Vec<((Form, Form), usize)> = guesses(difference).into_iter().collect();
    forms.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let keys: Vec<(&Key, Vec<&str>)> = old.iter().map(|(key, _)| (key, key.split('.').collect())).collect();
    let tried = forms.into_iter().take(MAX_TRIED).filter_map(|((from, to), _)| {
        let mut pairs = Vec::new();
        for (key, segments) in &keys {
            let start = match from.place(segments) {
                Place::None => continue,
                Place::One(start) => start,
                Place::Several => return None,
            };
            let new = to.put(segments, start, &from);
            let (old_shape, new_shape) = (unexpected.get(&***key)?, missing.get(&*new)?);
            if old_shape != new_shape {
                return None;
            }
            pairs.push(((*key).clone(), Key::from(new)));
        }
        Some(Move { from, to, pairs })
    });
    let mut moves: Vec<Move> = tried.collect();
    let rank = |found: &Move| (std::cmp::Reverse(found.pairs.len()), changed(found));
    moves.sort_by_key(rank);
    // Where one of more keys or of fewer changed segments takes a key, others say no more of it.
    let mut taken = HashMap::default();
    let mut seen = HashSet::default();
    moves.retain(|found| {
        let own = rank(found);
        let news = found.pairs.iter().any(|(key, _)| taken.get(key).is_none_or(|other| *other == own));
        let new = news && seen.insert(found.pairs.clone());
        if new {
            for (key, _) in &found.pairs {
                taken.entry(key.clone()).or_insert(own);
            }
        }
        new
    });
    moves
}

/// How many segments of the names differ, those around them that are alike apart.
fn changed(found: &Move) -> usize {
    let (from, to) = (&found.from.middle, &found.to.middle);
    let alike = from.iter().zip(to).take_while(|(from, to)| from == to).count();
    let (from, to) = (from.get(alike..).unwrap_or_default(), to.get(alike..).unwrap_or_default());
    let alike = from.iter().rev().zip(to.iter().rev()).take_while(|(from, to)| from == to).count();
    from.len() + to.len() - 2 * alike
}

/// What could have changed into what, with how many pairs of keys say so.
fn guesses(difference: &Difference) -> IndexMap<(Form, Form), usize> {
    // Names that share their last segment, or all but that.
    let mut last: HashMap<(&str, &[u64]), Vec<&str>> = HashMap::default();
    let mut first: HashMap<(&str, &[u64]), Vec<&str>> = HashMap::default();
    for (key, spec) in difference.missing.iter().filter_map(|(key, spec)| Some((key, spec.as_ref()?))) {
        let (module, name) = key.rsplit_once('.').unwrap_or(("", key));
        last.entry((name, &spec.shape)).or_default().push(key);
        first.entry((module, &spec.shape)).or_default().push(key);
    }
    let mut found = IndexMap::new();
    let mut pairs = 0;
    for (key, spec) in &difference.unexpected {
        let (module, name) = key.rsplit_once('.').unwrap_or(("", key));
        let alike = last.get(&(name, spec.shape.as_slice())).into_iter();
        let alike = alike.chain(first.get(&(module, spec.shape.as_slice()))).flatten();
        for other in alike {
            pairs += 1;
            if pairs > MAX_PAIRS {
                return found;
            }
            for forms in of_pair(key, other) {
                *found.entry(forms).or_insert(0) += 1;
            }
        }
    }
    found
}

/// The ways to say what differs between two names, the plainest first.
fn of_pair(old: &str, new: &str) -> Vec<(Form, Form)> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('.').collect(), new.split('.').collect());
    let common = |old: &mut dyn Iterator<Item = &&str>, new: &mut dyn Iterator<Item = &&str>| {
        old.zip(new).take_while(|(old, new)| old == new).count()
    };
    let end = common(&mut old.iter().rev(), &mut new.iter().rev());
    let whole = (old.clone(), new.clone());
    let old = old.get(..old.len() - end).unwrap_or_default();
    let new = new.get(..new.len() - end).unwrap_or_default();
    let start = common(&mut old.iter(), &mut new.iter());
    let mut ways = Vec::new();
    let mut add = |(head, tail): (bool, bool), old: &[&str], new: &[&str]| {
        let numbers = |segments: &[&str]| -> Vec<String> {
            segments.iter().filter(|segment| is_index(segment)).map(|&segment| segment.to_owned()).collect()
        };
        let form = |segments: &[&str], any: bool| Form {
            head,
            middle: segments
                .iter()
                .map(|&segment| (!(any && is_index(segment))).then(|| segment.to_owned()))
                .collect(),
            tail,
        };
        // Indices that stay can be any.
        if numbers(old) == numbers(new) && !numbers(old).is_empty() {
            ways.push((form(old, true), form(new, true)));
        }
        ways.push((form(old, false), form(new, false)));
    };
    add((false, end > 0), old, new);
    let (old, new) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    if start > 0 && !old.is_empty() && !new.is_empty() {
        add((true, end > 0), old, new);
    }
    if end > 0 {
        // Where others of the module go elsewhere.
        add((false, false), &whole.0, &whole.1);
    }
    ways
}

fn is_index(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{Dtype, TensorSpec};

    fn found(old: &[(&str, u64)], new: &[(&str, u64)]) -> Vec<String> {
        let set = |keys: &[(&str, u64)]| {
            let mut keyset = KeySet::new("some");
            for (key, size) in keys {
                keyset.keys.insert((*key).into(), TensorSpec::new(Dtype::F32, [*size]).into());
            }
            keyset
        };
        let (old, new) = (set(old), set(new));
        let shown = |form: &Form| {
            let mut parts: Vec<&str> = form.head.then_some("**").into_iter().collect();
            parts.extend(form.middle.iter().map(|segment| segment.as_deref().unwrap_or("*")));
            parts.extend(form.tail.then_some("**"));
            parts.join(".")
        };
        let moves = moves(&old, &Difference::new(&old, &new));
        moves
            .iter()
            .map(|one| format!("{} -> {} {}", shown(&one.from), shown(&one.to), one.pairs.len()))
            .collect()
    }

    #[test]
    fn prefixes_and_parts_that_moved_are_found() {
        assert_eq!(
            found(&[("enc.0.w", 2), ("enc.1.w", 2), ("x", 1)], &[("dec.0.w", 2), ("dec.1.w", 2), ("x", 1)]),
            ["enc.** -> dec.** 2"]
        );
        assert_eq!(
            found(&[("module.a.w", 2), ("module.b.w", 3)], &[("a.w", 2), ("b.w", 3)]),
            ["module.** -> ** 2"]
        );
        assert_eq!(found(&[("a.w", 2), ("b.w", 3)], &[("m.a.w", 2), ("m.b.w", 3)]), ["** -> m.** 2"]);
        assert_eq!(
            found(&[("a.0.bn.w", 2), ("b.0.bn.w", 2)], &[("a.0.norm.w", 2), ("b.0.norm.w", 2)]),
            ["**.bn.** -> **.norm.** 2"]
        );
        assert_eq!(
            found(&[("b.0.bn.w", 2), ("b.1.bn.w", 2)], &[("a.0.norm.w", 2), ("a.1.norm.w", 2)]),
            ["b.*.bn.** -> a.*.norm.** 2"]
        );
        assert_eq!(
            found(&[("a.gamma", 2), ("b.gamma", 3)], &[("a.w", 2), ("b.w", 3)]),
            ["**.gamma -> **.w 2"]
        );
    }

    #[test]
    fn what_touches_other_keys_or_has_another_shape_is_none() {
        // `enc.**` would take a key that stays; the key alone does not.
        let old = [("enc.w", 2), ("enc.v", 2)];
        assert_eq!(found(&old, &[("dec.w", 2), ("enc.v", 2)]), ["enc.w -> dec.w 1"]);
        assert_eq!(found(&[("a.w", 2)], &[("b.w", 3)]), [""; 0]);
    }

    #[test]
    fn parts_of_a_module_may_go_different_ways() {
        let old = [
            ("s.bn.w", 2),
            ("t.bn.w", 2),
            ("b.0.conv.w", 3),
            ("b.0.bn.w", 2),
            ("b.1.conv.w", 3),
            ("b.1.bn.w", 2),
        ];
        let new = [
            ("s.norm.w", 2),
            ("t.norm.w", 2),
            ("a.0.conv.w", 3),
            ("a.0.norm.w", 2),
            ("a.1.conv.w", 3),
            ("a.1.norm.w", 2),
        ];
        let expected = [
            "b.*.conv.w -> a.*.conv.w 2",
            "b.*.bn.** -> a.*.norm.** 2",
            "s.bn.** -> s.norm.** 1",
            "t.bn.** -> t.norm.** 1",
        ];
        assert_eq!(found(&old, &new), expected);
    }

    #[test]
    fn what_could_be_either_is_both() {
        assert_eq!(found(&[("a.w", 2)], &[("b.w", 2), ("c.w", 2)]), ["a.** -> b.** 1", "a.** -> c.** 1"]);
    }
}
