//! What can be wrong with parts of an output that are written by themselves.

use super::Cut;

/// What is wrong with a shard of a part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It was not written.
    #[error("is not there")]
    Missing,
    /// It is not as long as it was written.
    #[error("has {found} bytes, and {wanted} were written")]
    Length {
        /// Its length.
        found: u64,
        /// That which it should have.
        wanted: u64,
    },
    /// It has a receipt of another run.
    #[error("is of another run")]
    OtherRun,
    /// It is no checkpoint.
    #[error("cannot be read")]
    Unreadable,
    /// It holds other keys than were written.
    #[error("holds other keys than were written")]
    Keys,
}

/// A shard that is not as it was written, and the part that writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Its name.
    pub shard: String,
    /// Whose it is.
    pub part: Cut,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with the parts of an output, as the rest of a sentence about its folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartProblem {
    /// Something that belongs to no part of this run.
    #[error("holds `{file}`, which is of no part of this run")]
    Occupied {
        /// Its name.
        file: String,
    },
    /// Parts of a run that does other things.
    #[error("holds parts of another run: {what}")]
    OtherRun {
        /// What is different.
        what: &'static str,
    },
    /// Parts of another cut.
    #[error("holds parts of a run in {there} parts, and this is one in {own}")]
    OtherCount {
        /// How many parts it was cut into.
        there: usize,
        /// How many this run is cut into.
        own: usize,
    },
    /// Something that parts wrote and that cannot be read.
    #[error("holds no `{file}` that can be read")]
    Damaged {
        /// Its name.
        file: String,
    },
    /// Nothing that waits to be finished.
    #[error("holds no parts that wait to be finished")]
    NoParts,
    /// The parts of several outputs.
    #[error("holds the parts of several outputs")]
    ManyOutputs {
        /// Their indexes.
        indexes: Vec<String>,
    },
    /// Parts that are not there, or not whole.
    #[error("is not whole: {}", lacking(all))]
    Incomplete {
        /// What lacks.
        all: Vec<Lacking>,
    },
}

impl PartProblem {
    /// What to do instead.
    pub(in crate::formats) fn help(&self) -> String {
        match self {
            PartProblem::Occupied { .. } => {
                "parts go into a folder without another checkpoint: choose a new one, or take the old one away; \
                 an output with its index in place is finished"
                    .to_owned()
            }
            PartProblem::OtherRun { .. } => {
                "run every part with the same files and options (copies of the source keep their times with `cp -p` \
                 or `rsync -t`); to begin anew, choose another folder or remove this one"
                    .to_owned()
            }
            PartProblem::OtherCount { there, .. } => {
                format!("write `--shard K/{there}`; to begin anew, choose another folder or remove this one")
            }
            PartProblem::Damaged { .. } => "remove the folder and run all parts again".to_owned(),
            PartProblem::NoParts => {
                "write them first, each with `migrate --rules R INPUT -o OUT/ --shard K/N`".to_owned()
            }
            PartProblem::ManyOutputs { indexes } => format!("name one: `{}`", indexes.join("` or `")),
            PartProblem::Incomplete { all } => {
                let mut parts: Vec<String> = all.iter().map(|one| format!("`--shard {}`", one.part)).collect();
                parts.dedup();
                format!("run again, then finish: {}", parts.join(", "))
            }
        }
    }

    /// A stable name of this kind, for programs.
    pub(in crate::formats) fn code(&self) -> &'static str {
        match self {
            PartProblem::Occupied { .. } => "output-exists",
            PartProblem::OtherRun { .. } | PartProblem::OtherCount { .. } => "other-parts",
            PartProblem::Damaged { .. } => "bad-parts",
            PartProblem::NoParts | PartProblem::ManyOutputs { .. } => "no-parts",
            PartProblem::Incomplete { .. } => "missing-parts",
        }
    }
}

/// The first few shards that lack, in words.
fn lacking(all: &[Lacking]) -> String {
    const SHOWN: usize = 8;
    let shown = all.iter().take(SHOWN);
    let mut text: Vec<String> =
        shown.map(|one| format!("`{}` (part {}) {}", one.shard, one.part, one.flaw)).collect();
    if all.len() > SHOWN {
        text.push(format!("and {} more", all.len() - SHOWN));
    }
    text.join(", ")
}
