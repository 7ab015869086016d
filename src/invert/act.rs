//! What the way back does, with concrete keys, before it is put into patterns.

use crate::keyset::Key;
use crate::rules::verbs::Reverse;
use crate::tensor::TensorSpec;

/// One verb on one group of keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Act {
    /// The verb, with its `?` where it has one.
    pub verb: &'static str,
    /// The keys that it matches; none where it makes tensors from nothing.
    pub from: Vec<Key>,
    /// The keys that come of it, each with its spec; none where it removes.
    pub to: Vec<(Key, TensorSpec)>,
    /// Its options: as they are, then in ways that other shapes may share.
    pub options: Vec<String>,
}

/// One operation on one tensor that undoes another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// The verb.
    pub verb: &'static str,
    /// Its options, as in [`Act`].
    pub options: Vec<String>,
    /// What the tensor is after it.
    pub spec: TensorSpec,
    /// How well it undoes.
    pub reverse: Reverse,
}

impl Act {
    /// The keys that come of it.
    pub fn results(&self) -> impl Iterator<Item = &Key> {
        self.to.iter().map(|(key, _)| key)
    }

    /// Whether it changes tensors under their names.
    pub fn in_place(&self) -> bool {
        matches!((self.from.as_slice(), self.to.as_slice()), ([from], [(to, _)]) if from == to)
    }

    /// Whether it leaves the keys that it matches where they are.
    pub fn keeps(&self) -> bool {
        matches!(self.verb, "copy" | "tie")
    }
}
