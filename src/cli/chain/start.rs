//! Which version a checkpoint is: what it was recorded as, else the one key set that fits.

use crate::cli::record::{Record, Step};
use crate::keyset::{Difference, Key, KeySet};
use crate::quantity::counted;
use crate::table::Table;
use crate::tensor::TensorSpec;

use super::error::ChainError;
use super::folder::Folder;

/// The version that a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Start {
    /// Its number in the chain.
    pub version: usize,
    /// How that is known.
    pub known: Known,
}

/// How the version of a checkpoint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Known {
    /// The command line says so.
    Given,
    /// It was recorded when it was migrated.
    Recorded,
    /// Its keys are those of the version.
    ByKeys,
}

/// How far a checkpoint is off a version.
struct Distance {
    missing: usize,
    unexpected: usize,
    shape: usize,
    dtype: usize,
}

impl Distance {
    /// Keys that `left` names may be missing, and so may those that are tied to one that is there.
    fn new(checkpoint: &KeySet, version: &KeySet, left: &[String]) -> Distance {
        let difference = Difference::new(checkpoint, version);
        let needed = |key: &Key| {
            let tied = version.get(key).and_then(|info| info.tied.as_ref());
            !left.iter().any(|left| **left == **key) && tied.is_none_or(|tied| checkpoint.get(tied).is_none())
        };
        Distance {
            missing: difference.missing.iter().filter(|(key, _)| needed(key)).count(),
            unexpected: difference.unexpected.len(),
            shape: difference.shape.len(),
            dtype: difference.dtype.len(),
        }
    }

    /// Dtypes may differ: a half-precision copy of a version is that version.
    fn fits(&self) -> bool {
        self.missing + self.unexpected + self.shape == 0
    }

    fn sum(&self) -> usize {
        self.missing + self.unexpected + self.shape
    }
}

/// Tells which version a checkpoint is; `keys` are those of its main dict, `given` is the version that the
/// command line says it is.
///
/// # Errors
/// Where nothing tells, and where rules were edited since they were applied to it.
pub(in crate::cli) fn start(
    folder: &Folder,
    keys: &KeySet,
    record: Option<&Record>,
    given: Option<&str>,
) -> Result<Start, Box<ChainError>> {
    if let Some(given) = given {
        return Ok(Start { version: folder.number(given)?, known: Known::Given });
    }
    let distances = |left: &[String]| -> Vec<Distance> {
        folder.versions.iter().map(|version| Distance::new(keys, &version.keys, left)).collect()
    };
    let recorded = record.and_then(|record| Some((record, folder.number(record.to.as_deref()?).ok()?)));
    if let Some((record, version)) = recorded {
        let distances = distances(&record.left);
        if !distances.get(version).is_some_and(Distance::fits) {
            return Err(Box::new(ChainError::NotTheRecorded {
                checkpoint: keys.origin.clone(),
                version: record.to.clone().unwrap_or_default(),
                table: table(folder, &distances),
            }));
        }
        edited(folder, record, keys)?;
        return Ok(Start { version, known: Known::Recorded });
    }
    let distances = distances(&[]);
    let fitting = |exact: bool| {
        let fits = move |distance: &Distance| distance.fits() && (!exact || distance.dtype == 0);
        distances.iter().enumerate().filter(move |(_, distance)| fits(distance)).map(|(index, _)| index)
    };
    let all: Vec<usize> = fitting(false).collect();
    // Two versions may differ in dtypes alone.
    let exact: Vec<usize> = fitting(true).collect();
    match (all.as_slice(), exact.as_slice()) {
        (&[version], _) | (_, &[version]) => Ok(Start { version, known: Known::ByKeys }),
        ([], _) => {
            let nearest = distances.iter().enumerate().min_by_key(|(_, distance)| distance.sum());
            let nearest = nearest.and_then(|(index, _)| folder.versions.get(index));
            let nearest = nearest.map(|version| folder.keys_file(&version.name).display().to_string());
            Err(Box::new(ChainError::NoVersion {
                checkpoint: keys.origin.clone(),
                folder: folder.path.display().to_string(),
                table: table(folder, &distances),
                diff: format!("migrate diff {} {}", keys.origin, nearest.unwrap_or_default()),
            }))
        }
        (several, _) => {
            let names = several.iter().filter_map(|&index| folder.versions.get(index));
            let names: Vec<&str> = names.map(|version| version.name.as_str()).collect();
            Err(Box::new(ChainError::SeveralVersions {
                checkpoint: keys.origin.clone(),
                versions: names.join(", "),
                table: table(folder, &distances),
                first: names.first().copied().unwrap_or_default().to_owned(),
            }))
        }
    }
}

/// Refuses a checkpoint whose rules were edited after they had been applied to it.
fn edited(folder: &Folder, record: &Record, keys: &KeySet) -> Result<(), Box<ChainError>> {
    for step in &record.steps {
        let links = folder.links.iter().chain(folder.back.values());
        let now = links.map(|link| link.step(&folder.sources)).find(|now: &Step| now.rules == step.rules);
        let Some(now) = now else { continue };
        if let Some(file) = step.edited(&now) {
            return Err(Box::new(ChainError::Edited {
                file: folder.path.join(file).display().to_string(),
                rules: step.rules.clone(),
                checkpoint: keys.origin.clone(),
                version: record.to.clone().unwrap_or_default(),
            }));
        }
    }
    Ok(())
}

/// The keys of a version that a record says were left to the model, and that the checkpoint does not have.
pub(in crate::cli) fn absent(
    version: &KeySet,
    keys: &KeySet,
    record: Option<&Record>,
) -> Vec<(Key, TensorSpec)> {
    let left = record.map_or(&[][..], |record| &record.left);
    let left = left.iter().filter(|key| keys.get(key).is_none());
    left.filter_map(|key| version.keys.get_key_value(key.as_str()))
        .map(|(key, info)| (key.clone(), info.spec.clone()))
        .collect()
}

/// How far each version is off, a line each.
fn table(folder: &Folder, distances: &[Distance]) -> String {
    let mut table = Table::new();
    for (version, distance) in folder.versions.iter().zip(distances) {
        let mut parts = Vec::new();
        for (count, what) in [(distance.missing, "missing"), (distance.unexpected, "unexpected")] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        if distance.shape > 0 {
            parts.push(format!("{} of another shape", counted(distance.shape, "key")));
        }
        if parts.is_empty() {
            parts.push("fits".to_owned());
        }
        if distance.dtype > 0 {
            parts.push(format!("{} of another dtype", counted(distance.dtype, "key")));
        }
        table.row([version.name.clone(), counted(version.keys.len(), "key"), parts.join(", ")]);
    }
    table.lines("  ").join("\n")
}
