//! The keys while statements run over them: an ordered map from key to expression.

use foldhash::HashMap;
use foldhash::fast::RandomState;
use smallvec::SmallVec;
use std::cell::Cell;

use super::arena::ExprId;
use super::index::Index;
use crate::keyset::Key;
use crate::rules::Pattern;

/// A key that was or is in the state. Ids stay valid after the key is gone, for its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(u32);

impl EntryId {
    /// The number of the entry, unlike that of any other.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The keys that one was made of, which is mostly one.
pub type Parents = SmallVec<[EntryId; 4]>;

/// A key with what it holds and where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// What it holds.
    pub expr: ExprId,
    /// The keys that it was made of; none for a source key.
    pub parents: Parents,
    /// The statement that made it, as an index into the plan's statements.
    pub statement: Option<usize>,
}

/// All keys, in order.
#[derive(Clone, Debug, Default)]
pub struct State {
    entries: Vec<Entry>,
    order: Vec<EntryId>,
    /// For each entry where it stands in the order, or [`GONE`].
    places: Vec<u32>,
    by_key: HashMap<Key, EntryId>,
    index: Index,
    /// How many keys have been looked at for the sake of suggestions.
    looked_at: Cell<usize>,
}

/// The place of an entry that is not in the order.
const GONE: u32 = u32::MAX;

/// How many keys may be looked at for the sake of suggestions. A file of rules that fit nothing would search
/// all keys for each of them, and nobody reads hundreds of suggestions.
const MAX_LOOKS: usize = 2_000_000;

/// What one statement does to the state.
#[derive(Debug, Default)]
pub struct Change {
    /// The keys that go, ascending, each once.
    pub removed: Vec<EntryId>,
    /// The keys that come, each with the key at whose place it stands (none: at the end).
    pub added: Vec<(Entry, Option<EntryId>)>,
}

/// What becomes of a key while a statement is applied.
#[derive(Clone, Copy, Debug, Default)]
struct Flag {
    goes: bool,
    /// Others come behind it, or in its place.
    is_followed: bool,
}

impl State {
    /// An empty state with room for this many keys.
    pub fn with_room(count: usize) -> Self {
        State {
            entries: Vec::with_capacity(count),
            order: Vec::with_capacity(count),
            places: Vec::with_capacity(count),
            by_key: HashMap::with_capacity_and_hasher(count, RandomState::default()),
            ..State::default()
        }
    }

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

    /// The keys that can match a pattern, and maybe others, in order.
    pub fn candidates(&self, pattern: &Pattern) -> Vec<EntryId> {
        if let Some(literal) = pattern.literal() {
            return self.find(&literal).into_iter().collect();
        }
        let Some(numbers) = self.index.candidates(pattern, self.order.len()) else {
            return self.order.clone();
        };
        let place = |id: &EntryId| self.places.get(id.index()).copied().unwrap_or(GONE);
        let mut ids: Vec<EntryId> = numbers.into_iter().map(EntryId).filter(|id| place(id) != GONE).collect();
        ids.sort_unstable_by_key(place);
        ids
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
        self.places[id.index()] = number(self.order.len());
        self.order.push(id);
    }

    /// Makes these all the keys that there are, in this order. What is among them must be in the state, or have
    /// been [remembered](State::remember).
    pub fn set_order(&mut self, order: Vec<EntryId>) {
        self.places.fill(GONE);
        for (place, id) in order.iter().enumerate() {
            self.places[id.index()] = number(place);
        }
        self.order = order;
    }

    /// Applies what a statement does.
    pub fn apply(&mut self, change: Change) {
        if change.removed.is_empty() && change.added.is_empty() {
            return;
        }
        for id in &change.removed {
            let key = self.entry(*id).key.clone();
            self.by_key.remove(&key);
        }
        let mut last = Vec::new();
        let mut placed: Vec<(EntryId, EntryId)> = Vec::new();
        for (entry, place) in change.added {
            let id = self.remember(entry);
            match place {
                Some(place) => placed.push((place, id)),
                None => last.push(id),
            }
        }
        placed.sort_by_key(|(place, _)| *place);
        if last.is_empty() && placed.iter().map(|(place, _)| place).eq(&change.removed) {
            // One for one, as in a rename: no other key moves.
            for (old, new) in placed {
                let place = std::mem::replace(&mut self.places[old.index()], GONE);
                self.places[new.index()] = place;
                if let Some(at) = self.order.get_mut(place as usize) {
                    *at = new;
                }
            }
        } else {
            self.reorder(&change.removed, &placed, last);
        }
    }

    /// Takes keys out, puts keys behind the places of others, `placed` being sorted by those, and keys at the end.
    fn reorder(&mut self, removed: &[EntryId], placed: &[(EntryId, EntryId)], last: Vec<EntryId>) {
        // One flag a key, so that the pass over all keys below costs few look-ups.
        let mut flags = vec![Flag::default(); self.entries.len()];
        for id in removed {
            flags[id.index()].goes = true;
            self.places[id.index()] = GONE;
        }
        for (place, _) in placed {
            flags[place.index()].is_followed = true;
        }
        let mut order = Vec::with_capacity(self.order.len() + placed.len() + last.len());
        for id in std::mem::take(&mut self.order) {
            let flag = flags[id.index()];
            if !flag.goes {
                order.push(id);
            }
            if flag.is_followed {
                let first = placed.partition_point(|(place, _)| *place < id);
                let behind = placed.iter().skip(first).take_while(|(place, _)| *place == id);
                order.extend(behind.map(|(_, new)| *new));
            }
        }
        order.extend(last);
        for (place, id) in order.iter().enumerate() {
            self.places[id.index()] = number(place);
        }
        self.order = order;
    }

    /// Gives a key its id, and no place yet.
    pub fn remember(&mut self, entry: Entry) -> EntryId {
        let id = EntryId(number(self.entries.len()));
        self.by_key.insert(entry.key.clone(), id);
        self.index.add(&entry.key, id.0);
        self.entries.push(entry);
        self.places.push(GONE);
        id
    }
}

#[allow(clippy::cast_possible_truncation)] // four billion keys do not fit into memory
/// An index as it is kept where there are many.
pub fn number(index: usize) -> u32 {
    index as u32
}
