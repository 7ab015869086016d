//! How the keys of a checkpoint differ from those of a model.

mod text;

use foldhash::HashSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{Key, KeySet};
use crate::tensor::{Dtype, Shape, TensorSpec};

pub use text::Shown;

/// A key that both have, with specs that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The key.
    pub key: Key,
    /// The spec in the checkpoint.
    pub checkpoint: TensorSpec,
    /// The spec in the model.
    pub model: TensorSpec,
}

/// How the keys of a checkpoint differ from those of a model, in PyTorch's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that the model has and the checkpoint does not, in the model's order, with their specs where those
    /// are told.
    pub missing: Vec<(Key, Option<TensorSpec>)>,
    /// Keys that the checkpoint has and the model does not, in the checkpoint's order.
    pub unexpected: Vec<(Key, TensorSpec)>,
    /// Keys of different shapes (and maybe dtypes), in the model's order.
    pub shape: Vec<Mismatch>,
    /// Keys of one shape and different dtypes, in the model's order.
    pub dtype: Vec<Mismatch>,
    /// How many keys are the same with their shape and dtype.
    pub same: usize,
    /// Whether the keys that both have stand in different orders.
    pub order_differs: bool,
}

impl Difference {
    /// Compares the keys of a checkpoint with those of a model.
    pub fn new(checkpoint: &KeySet, model: &KeySet) -> Self {
        let mut difference = Difference::default();
        for (key, info) in checkpoint.iter() {
            if model.get(key).is_none() {
                difference.unexpected.push((key.clone(), info.spec.clone()));
            }
        }
        let mut last = None;
        for (key, info) in model.iter() {
            let Some((place, _, found)) = checkpoint.keys.get_full(key) else {
                difference.missing.push((key.clone(), info.is_told.then(|| info.spec.clone())));
                continue;
            };
            difference.order_differs |= last.replace(place).is_some_and(|last| last > place);
            let mismatch =
                || Mismatch { key: key.clone(), checkpoint: found.spec.clone(), model: info.spec.clone() };
            if found.spec == info.spec {
                difference.same += 1;
            } else if found.spec.shape != info.spec.shape || is_object(&found.spec) != is_object(&info.spec) {
                difference.shape.push(mismatch());
            } else {
                difference.dtype.push(mismatch());
            }
        }
        difference
    }

    /// Missing and unexpected keys of one shape side by side, in the order of the missing ones.
    ///
    /// An equal shape is no evidence that two keys are one tensor; it only says which renames could
    /// be.
    pub fn candidates(&self) -> Vec<Candidates> {
        let mut by_shape: IndexMap<&[u64], Candidates> = IndexMap::new();
        for (key, spec) in self.missing.iter().filter_map(|(key, spec)| Some((key, spec.as_ref()?))) {
            let entry = by_shape.entry(&spec.shape);
            entry.or_insert_with(|| Candidates::of(&spec.shape)).missing.push(key.clone());
        }
        for (key, spec) in &self.unexpected {
            if let Some(candidates) = by_shape.get_mut(spec.shape.as_slice()) {
                candidates.unexpected.push(key.clone());
            }
        }
        by_shape.into_values().filter(|candidates| !candidates.unexpected.is_empty()).collect()
    }

    /// The difference for machines: every key, nothing folded.
    pub fn to_json(&self) -> Value {
        let told = |key: &Key, spec: &TensorSpec| json!({ "key": &**key, "dtype": spec.dtype.name(), "shape": spec.shape });
        let missing = self.missing.iter().map(|(key, spec)| match spec {
            Some(spec) => told(key, spec),
            None => json!({ "key": &**key }),
        });
        let unexpected = self.unexpected.iter().map(|(key, spec)| told(key, spec));
        let mismatches = |mismatches: &[Mismatch]| -> Vec<Value> {
            let one = |found: &Mismatch| {
                json!({
                    "key": &*found.key,
                    "checkpoint": { "dtype": found.checkpoint.dtype.name(), "shape": found.checkpoint.shape },
                    "model": { "dtype": found.model.dtype.name(), "shape": found.model.shape },
                })
            };
            mismatches.iter().map(one).collect()
        };
        let names = |keys: &[Key]| keys.iter().map(|key| Value::from(&**key)).collect::<Vec<_>>();
        let candidates = self.candidates().into_iter().map(|candidates| {
            json!({ "shape": candidates.shape, "unexpected": names(&candidates.unexpected), "missing": names(&candidates.missing) })
        });
        json!({
            "equal": self.is_empty(),
            "same": self.same,
            "missing": missing.collect::<Vec<_>>(),
            "unexpected": unexpected.collect::<Vec<_>>(),
            "shape": mismatches(&self.shape),
            "dtype": mismatches(&self.dtype),
            "order_differs": self.order_differs,
            "candidates": candidates.collect::<Vec<_>>(),
        })
    }

    /// Whether a strict load of the checkpoint into the model would succeed without a conversion.
    ///
    /// The order of the keys does not matter for that.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.shape.is_empty()
            && self.dtype.is_empty()
    }
}

/// The one prefix that all unexpected keys have in the place of another one of all missing keys, as
/// (unexpected, missing) without the last dot, where that is how they differ: `module` and nothing.
pub fn moved_prefix(difference: &Difference) -> Option<(String, String)> {
    let missing: Vec<&str> = difference.missing.iter().map(|(key, _)| &**key).collect();
    let unexpected: HashSet<&str> = difference.unexpected.iter().map(|(key, _)| &**key).collect();
    let first = *missing.first()?;
    if missing.len() != unexpected.len() {
        return None;
    }
    // The first missing key ends like some unexpected one, from the start of a segment on.
    let starts = std::iter::once(0).chain(first.match_indices('.').map(|(at, _)| at + 1));
    let mut ways = starts.flat_map(|at| {
        let (to, rest) = first.split_at(at);
        let ends = unexpected.iter().filter_map(move |key| key.strip_suffix(rest));
        ends.filter(|from| from.is_empty() || from.ends_with('.')).map(move |from| (from, to))
    });
    let fits = |(from, to): &(&str, &str)| {
        let old = |key: &str| Some(format!("{from}{}", key.strip_prefix(to)?));
        missing.iter().all(|key| old(key).is_some_and(|old| unexpected.contains(old.as_str())))
    };
    let (from, to) = ways.find(fits)?;
    Some((from.trim_end_matches('.').to_owned(), to.trim_end_matches('.').to_owned()))
}

fn is_object(spec: &TensorSpec) -> bool {
    spec.dtype == Dtype::Object
}

/// Missing and unexpected keys of one shape, which a rename could make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// The shape that they share.
    pub shape: Shape,
    /// Unexpected keys of that shape.
    pub unexpected: Vec<Key>,
    /// Missing keys of that shape.
    pub missing: Vec<Key>,
}

impl Candidates {
    fn of(shape: &[u64]) -> Self {
        Candidates { shape: shape.to_vec(), unexpected: Vec::new(), missing: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyset(keys: &[(&str, Dtype, &[u64])]) -> KeySet {
        let mut keyset = KeySet::new("some");
        for (key, dtype, shape) in keys {
            keyset.keys.insert((*key).into(), TensorSpec::new(*dtype, *shape).into());
        }
        keyset
    }

    #[test]
    fn a_prefix_that_moved_is_found() {
        let one = |name: &str| (name.to_owned(), Dtype::F32, [1u64]);
        let moved = |old: &[&str], new: &[&str]| {
            let set = |names: &[&str]| {
                let keys: Vec<(String, Dtype, [u64; 1])> = names.iter().map(|name| one(name)).collect();
                keyset(
                    &keys.iter().map(|(key, dtype, shape)| (&**key, *dtype, &shape[..])).collect::<Vec<_>>(),
                )
            };
            moved_prefix(&Difference::new(&set(old), &set(new)))
        };
        let some = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(moved(&["module.a.w", "module.b.w"], &["a.w", "b.w"]), some("module", ""));
        assert_eq!(moved(&["a.w", "b.w"], &["model.a.w", "model.b.w"]), some("", "model"));
        assert_eq!(
            moved(&["enc.l.a.w", "enc.l.b.w", "same"], &["dec.a.w", "dec.b.w", "same"]),
            some("enc.l", "dec")
        );
        assert_eq!(moved(&["a.w", "b.w"], &["c.w", "d.w"]), None);
    }

    #[test]
    fn each_key_is_of_one_kind() {
        let checkpoint = keyset(&[
            ("same", Dtype::F32, &[2]),
            ("old", Dtype::F32, &[3, 4]),
            ("gone", Dtype::F32, &[9]),
            ("big", Dtype::F32, &[5]),
            ("half", Dtype::F16, &[6]),
        ]);
        let model = keyset(&[
            ("half", Dtype::F32, &[6]),
            ("same", Dtype::F32, &[2]),
            ("new", Dtype::F32, &[3, 4]),
            ("big", Dtype::F16, &[7]),
        ]);
        let found = Difference::new(&checkpoint, &model);
        assert_eq!(found.missing.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["new"]);
        assert_eq!(found.unexpected.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["old", "gone"]);
        assert_eq!(found.shape.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["big"]);
        assert_eq!(found.dtype.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["half"]);
        assert_eq!((found.same, found.order_differs, found.is_empty()), (1, true, false));
        let candidates = found.candidates();
        assert_eq!(candidates.len(), 1);
        assert_eq!((&*candidates[0].unexpected[0], &*candidates[0].missing[0]), ("old", "new"));
        assert!(Difference::new(&model, &model).is_empty());
    }
}
