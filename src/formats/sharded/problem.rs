//! What can be wrong between an index and its shards.

/// What is wrong with a sharded checkpoint, as the rest of a sentence about the index or its folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardProblem {
    /// A file that is no index.
    #[error("is no index of shards: {what}")]
    NotAnIndex {
        /// Why not.
        what: String,
    },
    /// A shard that is named by a path.
    #[error("puts `{key}` into `{file}`, which is not the name of a file beside it")]
    NotABaseName {
        /// The key.
        key: String,
        /// What the index says.
        file: String,
    },
    /// A shard that is not there.
    #[error("lists the shard `{file}`, which is not there")]
    MissingShard {
        /// Its name.
        file: String,
    },
    /// A key that its shard does not hold.
    #[error("puts `{key}` into `{file}`, which does not hold it{}", and_more(*more))]
    KeyNotInShard {
        /// The first such key.
        key: String,
        /// The shard.
        file: String,
        /// How many more keys of this shard are so.
        more: usize,
    },
    /// A key that a shard holds besides its own.
    #[error("does not put `{key}` into `{file}`, which holds it{}{}", elsewhere(listed), and_more(*more))]
    KeyNotListed {
        /// The first such key.
        key: String,
        /// The shard that holds it.
        file: String,
        /// The shard into which the index puts it.
        listed: Option<String>,
        /// How many more keys of this shard are so.
        more: usize,
    },
    /// A folder in which nothing says what belongs together.
    #[error("is a folder without an index of shards (`*.index.json`)")]
    NoIndex {
        /// The checkpoint files in it.
        holds: Vec<String>,
    },
    /// A folder with several indexes.
    #[error("is a folder with several indexes of shards: {}", quoted(names))]
    ManyIndexes {
        /// Their names.
        names: Vec<String>,
    },
}

impl ShardProblem {
    /// What to do instead, where there is something to say.
    pub(in crate::formats) fn help(&self) -> Option<String> {
        Some(match self {
            ShardProblem::NotAnIndex { .. } => {
                "name the checkpoint, or its index: `model.safetensors.index.json`".to_owned()
            }
            ShardProblem::NotABaseName { .. } => {
                "shards lie in the folder of their index; such an index is damaged or hostile".to_owned()
            }
            ShardProblem::MissingShard { .. } => "fetch or copy the missing file".to_owned(),
            ShardProblem::KeyNotInShard { .. } | ShardProblem::KeyNotListed { .. } => {
                "index and shards are of different checkpoints, or one of them was changed: fetch them again"
                    .to_owned()
            }
            ShardProblem::NoIndex { holds } if holds.is_empty() => "name the checkpoint file".to_owned(),
            ShardProblem::NoIndex { holds } => format!("name the checkpoint file: {}", quoted(holds)),
            ShardProblem::ManyIndexes { .. } => "name the one that is meant".to_owned(),
        })
    }

    /// A stable name of this kind, for programs.
    pub(in crate::formats) fn code(&self) -> &'static str {
        match self {
            ShardProblem::NotAnIndex { .. } | ShardProblem::NotABaseName { .. } => "bad-index",
            ShardProblem::MissingShard { .. } => "missing-shard",
            ShardProblem::KeyNotInShard { .. } | ShardProblem::KeyNotListed { .. } => "shard-keys",
            ShardProblem::NoIndex { .. } => "no-index",
            ShardProblem::ManyIndexes { .. } => "many-indexes",
        }
    }
}

fn elsewhere(listed: &Option<String>) -> String {
    listed.as_ref().map(|file| format!(", but into `{file}`")).unwrap_or_default()
}

fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => ", and so with 1 more key".to_owned(),
        more => format!(", and so with {more} more keys"),
    }
}

fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut quoted: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        quoted.push("…".to_owned());
    }
    quoted.join(", ")
}
