//! The inputs of a command, opened as one checkpoint.

use std::time::{Duration, Instant};

use crate::diagnostic::Diagnostic;
use crate::formats::{self, Checkpoint, Limits, Part, StateDict};
use crate::keyset::KeySet;
use crate::rules::RuleSet;

use super::named::Named;
use super::record::Record;
use super::target::{is_key_set_file, keyset_of, load_keyset, tied_keys};
use super::{Exit, Failure};

/// Files that are opened as one checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub inputs: &'a [Named],
    /// The dict of tensors that the command line names.
    pub at: Option<&'a str>,
    pub limits: &'a Limits,
}

/// An open checkpoint with what the rules and the command line say of its dicts.
pub(super) struct Dicts {
    pub checkpoint: Checkpoint,
    /// The names of the dicts, the same number as there are dicts unless the one was found by itself.
    names: Vec<String>,
    /// How many of them the whole file is about; the others are named by blocks alone.
    whole_file: usize,
    /// The input, where it is a key set: there is no checkpoint then but an empty one.
    pub key_set: Option<KeySet>,
    /// How long the inputs were opened.
    pub opening: Duration,
}

impl Dicts {
    pub fn open(Inputs { inputs, at, limits }: Inputs, rules: &RuleSet) -> Result<Dicts, Failure> {
        let begin = Instant::now();
        if let [Named { name: None, path }] = inputs
            && is_key_set_file(path)
        {
            let key_set = Some(load_keyset(path, at, limits)?);
            let name = rules.dicts.first().cloned().unwrap_or_else(|| ".".to_owned());
            let (checkpoint, names) = (Checkpoint::of_keys(path), vec![name]);
            return Ok(Dicts { checkpoint, names, whole_file: 1, key_set, opening: begin.elapsed() });
        }
        let mut names: Vec<String> = match (at, &rules.unwrap) {
            (Some(at), _) => vec![at.to_owned()],
            (None, Some(unwrap)) if rules.dicts.is_empty() => vec![unwrap.clone()],
            (None, _) => rules.dicts.clone(),
        };
        let blocks: Vec<&str> = rules.block_dicts();
        if names.is_empty() && !blocks.is_empty() {
            // What stands outside blocks is about the dict that is found by itself.
            names.push(open_all(inputs, &[], limits)?.main_dict().at.name());
        }
        let whole_file = names.len().max(1);
        for block in blocks {
            if !names.iter().any(|name| name == block) {
                names.push(block.to_owned());
            }
        }
        let paths: Vec<&str> = names.iter().map(String::as_str).collect();
        let checkpoint = open_all(inputs, &paths, limits)?;
        Ok(Dicts { checkpoint, names, whole_file, key_set: None, opening: begin.elapsed() })
    }

    /// The keys of a dict of the checkpoint.
    pub fn keys(&self, dict: &StateDict) -> KeySet {
        self.key_set.clone().unwrap_or_else(|| tied_keys(&self.checkpoint, dict))
    }

    /// The keys of the main dict.
    ///
    /// # Errors
    /// Where the file holds other things but no tensors.
    pub fn main_keys(&self) -> Result<KeySet, Failure> {
        self.key_set.clone().map_or_else(|| keyset_of(&self.checkpoint), Ok)
    }

    /// The name of a dict in the rules, and whether what stands outside blocks is about it.
    pub fn role(&self, index: usize) -> (&str, bool) {
        (self.names.get(index).map_or(".", String::as_str), index < self.whole_file)
    }
}

/// Opens the inputs as one checkpoint.
pub(super) fn open_all(inputs: &[Named], at: &[&str], limits: &Limits) -> Result<Checkpoint, Failure> {
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        let checkpoint = formats::open(&input.path, at, limits)?;
        parts.push(Part { name: input.name.clone(), checkpoint });
    }
    let none = || Failure::new(Exit::Usage, Diagnostic::error("usage", "a checkpoint is needed"));
    formats::join(parts)?.ok_or_else(none)
}

/// What a checkpoint says of the migrations before; several together say nothing.
pub(super) fn record_of(checkpoint: &Checkpoint) -> Option<Record> {
    if checkpoint.further.is_empty() { Record::of(checkpoint) } else { None }
}
