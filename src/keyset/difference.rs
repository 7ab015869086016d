//! How the keys of a checkpoint differ from those of a model.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{Key, KeySet};
use crate::tensor::{Dtype, Shape, TensorSpec};

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
    /// Keys that the model has and the checkpoint does not, in the model's order.
    pub missing: Vec<(Key, TensorSpec)>,
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
                difference.missing.push((key.clone(), info.spec.clone()));
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
    /// be. Tensors of no dims are left out: every one of them fits every other.
    pub fn candidates(&self) -> Vec<Candidates> {
        let mut by_shape: IndexMap<&[u64], Candidates> = IndexMap::new();
        let shaped = |entry: &&(Key, TensorSpec)| !entry.1.shape.is_empty();
        for (key, spec) in self.missing.iter().filter(shaped) {
            let entry = by_shape.entry(&spec.shape);
            entry.or_insert_with(|| Candidates::of(&spec.shape)).missing.push(key.clone());
        }
        for (key, spec) in self.unexpected.iter().filter(shaped) {
            if let Some(candidates) = by_shape.get_mut(spec.shape.as_slice()) {
                candidates.unexpected.push(key.clone());
            }
        }
        by_shape.into_values().filter(|candidates| !candidates.unexpected.is_empty()).collect()
    }

    /// The difference for machines: every key, nothing folded.
    pub fn to_json(&self) -> Value {
        let keys = |keys: &[(Key, TensorSpec)]| -> Vec<Value> {
            keys.iter()
                .map(|(key, spec)| json!({ "key": &**key, "dtype": spec.dtype.name(), "shape": spec.shape }))
                .collect()
        };
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
            "missing": keys(&self.missing),
            "unexpected": keys(&self.unexpected),
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
        let names =
            |keys: &[(Key, TensorSpec)]| keys.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&found.missing), ["new"]);
        assert_eq!(names(&found.unexpected), ["old", "gone"]);
        assert_eq!(found.shape.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["big"]);
        assert_eq!(found.dtype.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["half"]);
        assert_eq!((found.same, found.order_differs, found.is_empty()), (1, true, false));
        let candidates = found.candidates();
        assert_eq!(candidates.len(), 1);
        assert_eq!((&*candidates[0].unexpected[0], &*candidates[0].missing[0]), ("old", "new"));
        assert!(Difference::new(&model, &model).is_empty());
    }
}
