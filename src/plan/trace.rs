//! The way of one key through the statements: forwards from the source, backwards from the target.

use super::{Move, Plan};
use crate::keyset::Key;

/// What one statement did on a key's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The statement, as an index into [`Plan::applied`].
    pub statement: usize,
    /// The keys before; none where the tensor is made from nothing.
    pub from: Vec<Key>,
    /// The keys after; none where the statement removes them.
    pub to: Vec<Key>,
}

/// The way of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What the statements did, top to bottom.
    pub passages: Vec<Passage>,
    /// The keys at its other end: of the output for a key of the source, and the other way round.
    pub ends: Vec<Key>,
}

impl Plan {
    /// What becomes of a key of the source, or `None` where the source has no such key.
    pub fn way_of_source(&self, key: &str) -> Option<Way> {
        let (key, _) = self.source.keys.get_key_value(key)?;
        let mut at = vec![key.clone()];
        let mut passages = Vec::new();
        for (statement, applied) in self.applied.iter().enumerate() {
            let moves = applied.moves.iter().filter(|moved| moved.from.iter().any(|from| at.contains(from)));
            let moves: Vec<&Move> = moves.collect();
            let dropped: Vec<Key> = at.iter().filter(|key| applied.dropped.contains(key)).cloned().collect();
            at.retain(|key| !dropped.contains(key));
            if !applied.verb.flow.keeps_matches() {
                at.retain(|key| !moves.iter().any(|moved| moved.from.contains(key)));
            }
            for moved in &moves {
                if !at.contains(&moved.to) {
                    at.push(moved.to.clone());
                }
            }
            passages.extend(joined(statement, &moves));
            if !dropped.is_empty() {
                passages.push(Passage { statement, from: dropped, to: Vec::new() });
            }
        }
        Some(Way { passages, ends: at })
    }

    /// Where a key of the output comes from, or `None` where the output has no such key.
    pub fn way_of_output(&self, key: &str) -> Option<Way> {
        let output = self.outputs.iter().find(|output| &*output.key == key)?;
        // A key that is here only as another name of one comes from where that comes from.
        let own = self.outputs.iter().find(|other| !other.tied && other.expr == output.expr);
        let mut at = vec![if output.tied { own? } else { output }.key.clone()];
        let mut passages = Vec::new();
        for (statement, applied) in self.applied.iter().enumerate().rev() {
            let moves: Vec<&Move> = applied.moves.iter().filter(|moved| at.contains(&moved.to)).collect();
            at.retain(|key| !moves.iter().any(|moved| moved.to == *key));
            for from in moves.iter().flat_map(|moved| &moved.from) {
                if !at.contains(from) {
                    at.push(from.clone());
                }
            }
            let mut steps = joined(statement, &moves);
            steps.reverse();
            passages.append(&mut steps);
        }
        passages.reverse();
        Some(Way { passages, ends: at })
    }

    /// What one statement did to all keys, by its index into [`Plan::applied`].
    pub fn passages_of(&self, statement: usize) -> Vec<Passage> {
        let Some(applied) = self.applied.get(statement) else { return Vec::new() };
        let mut passages = joined(statement, &applied.moves.iter().collect::<Vec<_>>());
        let dropped = applied.dropped.iter();
        passages.extend(dropped.map(|key| Passage { statement, from: vec![key.clone()], to: Vec::new() }));
        passages
    }
}

/// Moves with the parts of one tensor together.
fn joined(statement: usize, moves: &[&Move]) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    for moved in moves {
        match passages.last_mut() {
            Some(last) if !moved.from.is_empty() && last.from == *moved.from => {
                last.to.push(moved.to.clone())
            }
            _ => passages.push(Passage { statement, from: moved.from.to_vec(), to: vec![moved.to.clone()] }),
        }
    }
    passages
}
