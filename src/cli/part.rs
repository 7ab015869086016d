//! `--shard K/N`: what a part has to be sure of, since it does not talk to the others.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};

use crate::diagnostic::Diagnostic;
use crate::formats::{Checkpoint, Cut, FormatError, Recording, RunDigest};
use crate::plan::{Plan, renamed_modules};

use super::place::Place;
use super::prove::Prepared;
use super::{Exit, Failure};

/// Checks that there are shards to take a part of.
///
/// # Errors
/// Where the output is one file, or there are several outputs.
pub(super) fn check(place: &Place, cut: Cut) -> Result<(), Failure> {
    if place.is_one_in_shards() {
        return Ok(());
    }
    let message = format!("`--shard {cut}` takes a part of one output in shards, and none such is asked for");
    let help = "name a folder, `-o out/`, or write `-o out/model.safetensors --max-shard-size 5GB`";
    Err(Failure::new(Exit::Usage, Diagnostic::error("usage", message).help(help)))
}

/// What tells this run from others: equal digests give equal bytes.
///
/// # Errors
/// Where the source's files cannot be looked at.
pub(super) fn digest(
    prepared: &Prepared,
    plans: &[Plan],
    record: &Recording,
    max_shard: u64,
) -> Result<RunDigest, FormatError> {
    let Prepared { checkpoint, beside, course, .. } = prepared;
    let mut rules = Hash::default();
    rules.add(&course.steps);
    let mut source = Hash::default();
    add_files(&mut source, checkpoint)?;
    let (rules, source) = (rules.text(), source.text());
    let mut plan = Hash::default();
    plan.add(&(&rules, &source, max_shard, record, &beside.edits, beside.weights_only));
    for (made, dict) in plans.iter().zip(&checkpoint.dicts) {
        let modules: BTreeMap<_, _> = renamed_modules(made, &dict.modules).into_iter().collect();
        plan.add(&(made.outputs(), made.assertions(), made.arena(), &dict.at, modules));
        for entry in &dict.entries {
            plan.add(&(&entry.key, entry.spec()));
        }
    }
    Ok(RunDigest { rules, source, plan: plan.text() })
}

/// Names, sizes and times of the source's files. Their folder may be another one on each machine; the times are
/// what tells a file from one that was written over it with the same header.
fn add_files(hash: &mut Hash, source: &Checkpoint) -> Result<(), FormatError> {
    for path in source.files() {
        let metadata = std::fs::metadata(path).map_err(|source| FormatError::Io {
            path: path.to_owned(),
            doing: "read",
            source,
        })?;
        hash.add(&(path.file_name(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
    }
    Ok(())
}

/// The digest of what values print for programmers, without making the text of all of them.
#[derive(Default)]
struct Hash(Sha256);

impl Hash {
    fn add(&mut self, value: &dyn fmt::Debug) {
        // What is written never fails here.
        let _ = write!(self, "{value:?};");
    }

    fn text(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
