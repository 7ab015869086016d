//! Key sets: which keys a version of a model has, and of what dtype and shape.

mod difference;
mod fold;
mod moves;
mod nearest;

use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::tensor::TensorSpec;

pub use difference::{Candidates, Difference, Mismatch, Shown, moved_prefix};
pub(crate) use fold::index_text;
pub use fold::{Folded, fold, fold_specs};
pub use moves::{Form, Move, moves};
pub use nearest::{nearest, nearest_word};

/// The name of a tensor in a state dict, shared by all who speak of it.
pub type Key = Arc<str>;

/// The parts of a key between its dots.
///
/// As `key.split('.')`, which looks for each dot with means that pay for texts much longer than these.
pub fn segments(key: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(key);
    std::iter::from_fn(move || {
        let here = rest?;
        let dot = here.bytes().position(|byte| byte == b'.');
        let (segment, behind) = match dot.and_then(|dot| here.split_at_checked(dot)) {
            Some((segment, behind)) => (segment, behind.get(1..)),
            None => (here, None),
        };
        rest = behind;
        Some(segment)
    })
}

/// What a tensor is to its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Trained: the optimizer has state for it.
    Parameter,
    /// Carried along: running means, position ids.
    Buffer,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The dtype and shape.
    pub spec: TensorSpec,
    /// Whether they are known: the text of a loading error names missing keys and says no more of them.
    pub is_told: bool,
    /// Parameter or buffer, where whoever wrote the key set knew.
    pub role: Option<Role>,
    /// The key whose tensor this is another name of.
    pub tied: Option<Key>,
}

impl From<TensorSpec> for KeyInfo {
    fn from(spec: TensorSpec) -> Self {
        KeyInfo { spec, is_told: true, role: None, tied: None }
    }
}

/// The keys of a checkpoint or of a model, in their order.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    /// The version, such as `v2`, where it has a name.
    pub name: Option<String>,
    /// Where it comes from, as people are told: `v2.keys.yaml`, `old.ckpt`.
    pub origin: String,
    /// The keys.
    pub keys: IndexMap<Key, KeyInfo, RandomState>,
}

impl KeySet {
    /// An empty key set that comes from `origin`.
    pub fn new(origin: impl Into<String>) -> Self {
        KeySet { name: None, origin: origin.into(), keys: IndexMap::default() }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What is known of a key.
    pub fn get(&self, key: &str) -> Option<&KeyInfo> {
        self.keys.get(key)
    }

    /// The keys in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &KeyInfo)> {
        self.keys.iter()
    }

    /// The same keys with a text before each, ties included.
    pub fn under(self, prefix: &str) -> KeySet {
        let within = |key: &Key| Key::from(format!("{prefix}{key}"));
        let keys = self.keys.iter().map(|(key, info)| {
            (within(key), KeyInfo { tied: info.tied.as_ref().map(within), ..info.clone() })
        });
        KeySet { keys: keys.collect(), name: self.name, origin: self.origin }
    }

    /// Whether both have the same keys with the same dtypes and shapes, in whatever order.
    pub fn same_tensors(&self, other: &KeySet) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, info)| other.get(key).is_some_and(|found| found.spec == info.spec))
    }
}
