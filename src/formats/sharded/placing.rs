//! How a set of shards takes its place: the old set or the new one at each instant, and never a mix.
//!
//! Files cannot appear together, but one name can lead to all others: who reads a sharded checkpoint begins
//! with its index. So the index is what changes over, in one step, and every file that an index in place
//! names is there and whole, at each instant. A folder that is new appears as a whole.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::names::ShardNames;
use crate::formats::{FormatError, Placement, Replace, temporary};

/// The staged index, over the names that shards are to have.
pub(super) const INDEX: &str = "index.json";
/// The staged index over interim names.
pub(super) const INTERIM_INDEX: &str = "interim.json";

/// Shards and their index, complete and in a folder of their own; dropped, they are gone.
#[derive(Debug)]
pub(in crate::formats) struct StagedShards {
    names: ShardNames,
    shards: Vec<String>,
    /// The number in interim names, one that no file there has.
    tag: u32,
    /// Whether the folder is new, so that the staged one becomes it.
    new_folder: bool,
    staging: TempDir,
    /// Held, so that no other run takes the staging folder for one that was left behind.
    _lock: File,
}

/// One step on the way; what has been done before a step fails or the program ends is still right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Gives a file or folder its name, where nothing has that name.
    Place(PathBuf, PathBuf),
    /// Gives a file the name of another one, in one step.
    Replace(PathBuf, PathBuf),
    /// Gives a file a second name.
    Link(PathBuf, PathBuf),
    /// Takes a file away.
    Remove(PathBuf),
    /// Waits until the names in a folder are on the disk.
    Sync(PathBuf),
}

impl StagedShards {
    /// Makes an unseen folder for shards of these names: in the folder that they go to, or beside it where
    /// that is to be made.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub(super) fn new(
        names: &ShardNames,
        shards: impl Iterator<Item = String>,
    ) -> Result<StagedShards, FormatError> {
        let folder = names.folder();
        let io = |source| FormatError::io(folder, "write", source);
        let new_folder = folder.symlink_metadata().is_err();
        let parent = if new_folder { parent(folder) } else { folder.to_owned() };
        let (staging, lock) = temporary::dir(&parent, OsStr::new(".shards.")).map_err(io)?;
        let occupants = names.occupants()?;
        let shards: Vec<String> = shards.collect();
        let taken = |tag: u32| shards.iter().any(|shard| occupants.contains(&names.interim(shard, tag)));
        let tag = (1..u32::MAX).find(|&tag| !taken(tag)).unwrap_or(u32::MAX);
        Ok(StagedShards { names: names.clone(), shards, tag, new_folder, staging, _lock: lock })
    }

    /// The names of the shards, in order.
    pub(super) fn shards(&self) -> &[String] {
        &self.shards
    }

    /// Where a file is staged.
    pub(super) fn staged(&self, name: &str) -> PathBuf {
        self.staging.path().join(name)
    }

    /// The interim name of a shard.
    pub(super) fn interim(&self, shard: &str) -> String {
        self.names.interim(shard, self.tag)
    }

    /// Puts the shards in their place.
    ///
    /// # Errors
    /// Where something is there that must not be replaced, and where the system refuses. The old set is in
    /// place then, or, once the index has changed over, the new one.
    pub(in crate::formats) fn commit(mut self, placement: &Placement) -> Result<(), FormatError> {
        let _turn = self.take_turn();
        let occupants = self.names.occupants()?;
        if let (Replace::Never, Some(name)) = (placement.replace, occupants.first()) {
            return Err(FormatError::Exists { path: self.names.path(name) });
        }
        let steps = self.steps(&occupants, placement.sync);
        for (done, step) in steps.iter().enumerate() {
            if let Err(error) = step.run(placement.sync) {
                self.undo(&steps[..done]);
                return Err(self.refusal(step, error));
            }
        }
        Ok(())
    }

    /// Waits until no other run changes the set's names, so that two that write one set do not mix them: the last
    /// one has it. A folder that was new may be there by then.
    fn take_turn(&mut self) -> [Option<File>; 2] {
        let wait = |folder: &Path| {
            let folder = File::open(folder).ok()?;
            temporary::lock(&folder).ok()?;
            Some(folder)
        };
        let folder = self.names.folder();
        let beside = if self.new_folder { wait(&parent(folder)) } else { None };
        self.new_folder = self.new_folder && folder.symlink_metadata().is_err();
        let inside = if self.new_folder { None } else { wait(folder) };
        [beside, inside]
    }

    /// Takes away what was placed, as long as no index leads to it.
    fn undo(&self, done: &[Step]) {
        let index = self.names.index();
        if done.iter().any(|step| step.target() == Some(&index)) {
            return;
        }
        for placed in done.iter().filter_map(Step::target) {
            let _ = fs::remove_file(placed);
        }
    }

    fn refusal(&self, step: &Step, error: io::Error) -> FormatError {
        let path = match step {
            Step::Place(_, to) | Step::Replace(_, to) | Step::Link(_, to) => to,
            Step::Remove(path) | Step::Sync(path) => path,
        };
        // What lies in the staging folder is to lie in that of the set, which is the one that people know.
        let path = &match path.strip_prefix(self.staging.path()) {
            Ok(name) if name.as_os_str().is_empty() => self.names.folder().to_owned(),
            Ok(name) => self.names.folder().join(name),
            Err(_) => path.clone(),
        };
        match (step, error.kind()) {
            (
                Step::Place(..),
                io::ErrorKind::AlreadyExists
                | io::ErrorKind::DirectoryNotEmpty
                | io::ErrorKind::NotADirectory,
            ) => FormatError::Exists { path: path.clone() },
            (Step::Remove(_), _) => FormatError::io(path, "remove", error),
            _ => FormatError::io(path, "write", error),
        }
    }

    /// What is to be done, in order.
    pub(super) fn steps(&self, occupants: &[String], sync: bool) -> Vec<Step> {
        let mut steps = match (self.new_folder, self.shards.iter().any(|shard| occupants.contains(shard))) {
            (true, _) => self.as_folder(),
            (false, false) => self.beside_others(occupants),
            (false, true) => self.in_place_of_others(occupants),
        };
        if !sync {
            steps.retain(|step| !matches!(step, Step::Sync(_)));
        }
        steps
    }

    /// The staged folder becomes the new one.
    fn as_folder(&self) -> Vec<Step> {
        let (staging, folder) = (self.staging.path().to_owned(), self.names.folder().to_owned());
        vec![
            Step::Replace(self.staged(INDEX), self.staged(&self.names.index_name())),
            Step::Remove(self.staged(INTERIM_INDEX)),
            Step::Sync(staging.clone()),
            Step::Place(staging, folder.clone()),
            Step::Sync(parent(&folder)),
        ]
    }

    /// The shards have names that are free: they take them, and the index follows.
    fn beside_others(&self, occupants: &[String]) -> Vec<Step> {
        let names = &self.names;
        let sync = || Step::Sync(names.folder().to_owned());
        let place = |shard: &String| Step::Place(self.staged(shard), names.path(shard));
        let mut steps: Vec<Step> = self.shards.iter().map(place).collect();
        steps.push(sync());
        steps.push(match occupants.contains(&names.index_name()) {
            true => Step::Replace(self.staged(INDEX), names.index()),
            false => Step::Place(self.staged(INDEX), names.index()),
        });
        steps.push(sync());
        steps.extend(self.removals(occupants));
        steps
    }

    /// Shards of an old set have the names: until the old index is gone, no shard may change. So the new ones
    /// get interim names, under which an index leads to them; then the old ones go, the new ones take
    /// their names beside the interim ones, and the index changes over to those.
    fn in_place_of_others(&self, occupants: &[String]) -> Vec<Step> {
        let names = &self.names;
        let sync = || Step::Sync(names.folder().to_owned());
        let interim = |shard: &String| names.path(&self.interim(shard));
        let mut steps: Vec<Step> =
            self.shards.iter().map(|shard| Step::Place(self.staged(shard), interim(shard))).collect();
        steps.push(sync());
        steps.push(Step::Replace(self.staged(INTERIM_INDEX), names.index()));
        steps.push(sync());
        steps.extend(self.removals(occupants));
        steps.extend(self.shards.iter().map(|shard| Step::Link(interim(shard), names.path(shard))));
        steps.push(sync());
        steps.push(Step::Replace(self.staged(INDEX), names.index()));
        steps.push(sync());
        steps.extend(self.shards.iter().map(|shard| Step::Remove(interim(shard))));
        steps
    }

    /// Takes the old set away, and the checkpoint in one file, which loaders would take instead of the index.
    fn removals(&self, occupants: &[String]) -> impl Iterator<Item = Step> {
        let index = self.names.index_name();
        let old = occupants.iter().filter(move |name| **name != index);
        old.map(|name| Step::Remove(self.names.path(name)))
    }
}

impl Step {
    pub(super) fn run(&self, sync: bool) -> io::Result<()> {
        match self {
            Step::Place(from, to) => temporary::place(from, to),
            Step::Replace(from, to) => fs::rename(from, to),
            // Not every file system has hard links; a copy serves there, as no index names it yet.
            Step::Link(from, to) => fs::hard_link(from, to).or_else(|_| {
                fs::copy(from, to)?;
                if sync { File::open(to)?.sync_all() } else { Ok(()) }
            }),
            Step::Remove(path) => match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            Step::Sync(folder) => File::open(folder)?.sync_all(),
        }
    }

    /// The name that the step gives.
    fn target(&self) -> Option<&PathBuf> {
        match self {
            Step::Place(_, to) | Step::Replace(_, to) | Step::Link(_, to) => Some(to),
            Step::Remove(_) | Step::Sync(_) => None,
        }
    }
}

/// The folder that a path lies in.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
