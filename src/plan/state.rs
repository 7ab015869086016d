//! The keys while statements run over them: an ordered map from key to expression.

use std::cell::Cell;
use std::collections::HashMap;

use super::arena::ExprId;
use crate::keyset::Key;

/// A key that was or is in the state. Ids stay valid after the key is gone, for its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(u32);

impl EntryId {
    /// The number of the entry, unlike that of any other.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A key with what it holds and where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// What it holds.
    pub expr: ExprId,
    /// The keys that it was made of; none for a source key.
    pub parents: Vec<EntryId>,
    /// The statement that made it, as an index into the plan's statements.
    pub statement: Option<usize>,
}

/// All keys, in order.
#[derive(Clone, Debug, Default)]
pub struct State {
    entries: Vec<Entry>,
    order: Vec<EntryId>,
    by_key: HashMap<Key, EntryId>,
    /// How many keys have been looked at for the sake of suggestions.
    looked_at: Cell<usize>,
}

/// How many keys may be looked at for the sake of suggestions. A file of rules that fit nothing would search
/// all keys for each of them, and nobody reads hundreds of suggestions.
const MAX_LOOKS: usize = 2_000_000;

/// What one statement does to the state.
#[derive(Debug, Default)]
pub struct Change {
    /// The keys that go.
    pub removed: Vec<EntryId>,
    /// The keys that come, each with the key at whose place it stands (none: at the end).
    pub added: Vec<(Entry, Option<EntryId>)>,
}

/// What becomes of a key while a statement is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Stays,
    Goes,
    /// It goes, and others come in its place.
    GivesWay,
    /// It stays, and others come behind it.
    IsFollowed,
}

impl State {
    /// The entry of an id.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0 as usize]
    }

    /// The entry of a key that is in the state.
    pub fn find(&self, key: &str) -> Option<EntryId> {
        self.by_key.get(key).copied()
    }

    /// Whether one more suggestion may search all keys.
    pub fn may_suggest(&self) -> bool {
        self.looked_at.set(self.looked_at.get().saturating_add(self.entries.len()));
        self.looked_at.get() <= MAX_LOOKS.max(self.entries.len())
    }

    /// The keys in order.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.order.iter().map(|&id| (id, self.entry(id)))
    }

    /// All keys that ever were in the state.
    pub fn history(&self) -> &[Entry] {
        &self.entries
    }

    /// Gives a key another expression, of the same spec.
    pub fn set_expr(&mut self, id: EntryId, expr: ExprId) {
        self.entries[id.0 as usize].expr = expr;
    }

    /// Adds a key at the end.
    pub fn push(&mut self, entry: Entry) {
        let id = self.remember(entry);
        self.order.push(id);
    }

    /// Makes these all the keys that there are, in this order. What is among them must be in the state, or have
    /// been [remembered](State::remember).
    pub fn set_order(&mut self, order: Vec<EntryId>) {
        self.order = order;
    }

    /// Applies what a statement does.
    pub fn apply(&mut self, change: Change) {
        if change.removed.is_empty() && change.added.is_empty() {
            return;
        }
        // One flag a key, so that the pass over all keys below costs no look-ups.
        let mut flags = vec![Flag::Stays; self.entries.len()];
        for id in &change.removed {
            flags[id.0 as usize] = Flag::Goes;
            let key = self.entry(*id).key.clone();
            self.by_key.remove(&key);
        }
        let mut placed: HashMap<EntryId, Vec<EntryId>> = HashMap::new();
        let mut last = Vec::new();
        for (entry, place) in change.added {
            let id = self.remember(entry);
            let Some(place) = place else {
                last.push(id);
                continue;
            };
            let flag = &mut flags[place.0 as usize];
            *flag =
                if matches!(flag, Flag::Goes | Flag::GivesWay) { Flag::GivesWay } else { Flag::IsFollowed };
            placed.entry(place).or_default().push(id);
        }
        let mut order = Vec::with_capacity(self.order.len());
        for id in std::mem::take(&mut self.order) {
            let flag = flags[id.0 as usize];
            if matches!(flag, Flag::Stays | Flag::IsFollowed) {
                order.push(id);
            }
            if matches!(flag, Flag::GivesWay | Flag::IsFollowed) {
                order.extend(placed.remove(&id).unwrap_or_default());
            }
        }
        order.extend(last);
        self.order = order;
    }

    /// Gives a key its id, and no place yet.
    #[allow(clippy::cast_possible_truncation)] // four billion keys do not fit into memory
    pub fn remember(&mut self, entry: Entry) -> EntryId {
        let id = EntryId(self.entries.len() as u32);
        self.by_key.insert(entry.key.clone(), id);
        self.entries.push(entry);
        id
    }
}
