//! What the parts of an output leave beside their shards until `finish`: what they agree on, and a receipt for each.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::names::{MOST_SHARDS, ShardNames};
use super::part_problem::{Flaw, PartProblem};
use crate::formats::open::open_file;
use crate::formats::{AtomicFile, FormatError, Limit, Limits, Placement, Replace};

/// The name of what parts agree on, in the folder of their receipts.
const AGREED: &str = "plan.json";

/// What makes two runs the same one: digests of what they do, and of what they do it to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDigest {
    /// Of the rule files.
    pub rules: String,
    /// Of the names, sizes and times of the source's files.
    pub source: String,
    /// Of these and of all else that the bytes of the output depend on.
    pub plan: String,
}

/// What all parts of one output agree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Agreed {
    /// The version of the tool.
    pub(super) tool: String,
    #[serde(flatten)]
    pub(super) run: RunDigest,
    /// How many parts there are.
    pub(super) parts: usize,
    /// How many shards there are.
    pub(super) shards: usize,
    /// The `metadata` of the index.
    pub(super) metadata: Map<String, Value>,
}

/// That a shard was written: by which run, how long it is, and which keys are in it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    /// The digest of the run's plan.
    pub(super) plan: String,
    /// The bytes of the shard.
    pub(super) bytes: u64,
    /// The keys, in the order of the index.
    pub(super) keys: Vec<String>,
}

/// The folder of receipts, hidden in that of the output; unfinished shards are in it too.
pub(super) struct Receipts<'a> {
    folder: PathBuf,
    limits: &'a Limits,
}

impl<'a> Receipts<'a> {
    /// Those of an output of these names, be they there or not.
    pub(super) fn of(names: &ShardNames, limits: &'a Limits) -> Self {
        Receipts { folder: names.parts(), limits }
    }

    /// Where they lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is one for a shard, whatever it says.
    pub(super) fn has(&self, shard: &str) -> bool {
        self.path(shard).symlink_metadata().is_ok()
    }

    fn path(&self, shard: &str) -> PathBuf {
        self.folder.join(format!("{shard}.json"))
    }

    /// Takes the folder for a run. Who comes first says what the others must agree with.
    ///
    /// # Errors
    /// Where the folder is that of another run, or cannot be written.
    pub(super) fn claim(&self, agreed: &Agreed, placement: &Placement) -> Result<(), FormatError> {
        let path = self.folder.join(AGREED);
        if path.symlink_metadata().is_err() {
            match self.put(&path, agreed, &Placement { replace: Replace::Never, ..*placement }) {
                Err(FormatError::Exists { .. }) => {}
                put => return put,
            }
        }
        self.check(agreed)
    }

    /// Checks that the folder is that of a run, where it is any run's.
    ///
    /// # Errors
    /// Where it is that of another one.
    pub(super) fn check(&self, agreed: &Agreed) -> Result<(), FormatError> {
        if self.folder.join(AGREED).symlink_metadata().is_err() {
            return Ok(());
        }
        match difference(&self.agreed()?, agreed) {
            None => Ok(()),
            Some(problem) => Err(self.wrong(problem)),
        }
    }

    /// What the parts agree on.
    ///
    /// # Errors
    /// Where it is not there or not readable.
    pub(super) fn agreed(&self) -> Result<Agreed, FormatError> {
        let path = self.folder.join(AGREED);
        let agreed: Option<Agreed> = self.read(&path)?;
        let possible = |agreed: &Agreed| agreed.shards <= MOST_SHARDS;
        agreed.filter(possible).ok_or_else(|| self.wrong(PartProblem::Damaged { file: AGREED.to_owned() }))
    }

    /// The receipt of a shard; `None` where there is none that can be read.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn get(&self, shard: &str) -> Result<Option<Receipt>, FormatError> {
        self.read(&self.path(shard))
    }

    /// Puts the receipt of a shard in its place.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn give(
        &self,
        shard: &str,
        receipt: &Receipt,
        placement: &Placement,
    ) -> Result<(), FormatError> {
        self.put(&self.path(shard), receipt, placement)
    }

    /// Takes all of them away.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(super) fn remove(&self) -> Result<(), FormatError> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FormatError::io(&self.folder, "remove", error))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with the shard that a receipt is for; its header is read, and no tensor bytes.
    ///
    /// # Errors
    /// Where reading it takes more than the limits allow.
    pub(super) fn flaw(
        &self,
        receipt: &Receipt,
        agreed: &Agreed,
        path: &Path,
    ) -> Result<Option<Flaw>, FormatError> {
        if receipt.plan != agreed.run.plan {
            return Ok(Some(Flaw::OtherRun));
        }
        let found = match fs::metadata(path) {
            Err(_) => return Ok(Some(Flaw::Missing)),
            Ok(metadata) => metadata.len(),
        };
        if found != receipt.bytes {
            return Ok(Some(Flaw::Length { found, wanted: receipt.bytes }));
        }
        let shard = match open_file(path, &[], self.limits) {
            Ok(shard) => shard,
            // One that says it needs more than it has is damaged, whatever is allowed.
            Err(error @ FormatError::TooLarge { size, .. }) if size <= receipt.bytes => return Err(error),
            Err(_) => return Ok(Some(Flaw::Unreadable)),
        };
        let held: HashSet<&str> = shard.main_dict().entries.iter().map(|entry| &*entry.key).collect();
        let same =
            held.len() == receipt.keys.len() && receipt.keys.iter().all(|key| held.contains(key.as_str()));
        Ok((!same).then_some(Flaw::Keys))
    }

    fn put(&self, path: &Path, value: &impl Serialize, placement: &Placement) -> Result<(), FormatError> {
        let file = AtomicFile::create(path)?;
        let text = format!("{:#}\n", serde_json::json!(value));
        file.file().write_all(text.as_bytes()).map_err(|error| FormatError::io(path, "write", error))?;
        file.commit(placement)
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, FormatError> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FormatError::io(path, "open", error)),
            Ok(file) => {
                // It names each key, as the header of a shard does.
                let limit = self.limits.get(Limit::HeaderBytes);
                let size = file.metadata().map_err(|error| FormatError::io(path, "read", error))?.len();
                if size > limit {
                    let (path, what) = (path.to_owned(), "the receipt".to_owned());
                    return Err(FormatError::TooLarge {
                        path,
                        what,
                        size,
                        limit,
                        raise: Some(Limit::HeaderBytes),
                    });
                }
                Ok(serde_json::from_reader(io::BufReader::new(file)).ok())
            }
        }
    }

    fn wrong(&self, problem: PartProblem) -> FormatError {
        FormatError::Parts { path: self.folder.clone(), problem }
    }
}

/// Why a run is another one than that which has the folder.
fn difference(there: &Agreed, own: &Agreed) -> Option<PartProblem> {
    let what = if there.run.rules != own.run.rules {
        "other rules"
    } else if there.run.source != own.run.source {
        "another source, or one that has changed since"
    } else if there.parts != own.parts {
        let (there, own) = (there.parts, own.parts);
        return Some(PartProblem::OtherCount { there, own });
    } else if there.tool != own.tool {
        "another version of migrate"
    } else if there != own {
        "other options"
    } else {
        return None;
    };
    Some(PartProblem::OtherRun { what })
}
