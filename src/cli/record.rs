//! What an output says of how it was made, and what an input says of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::formats::Checkpoint;
use crate::source::Sources;

use super::chain::Taken;

/// What was done to a checkpoint, all migrations together. No time and no path, so that equal runs give equal
/// bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The version of the tool.
    pub tool: String,
    /// The version that the first rule file started from.
    pub from: Option<String>,
    /// The version that the last one led to: what the file is.
    pub to: Option<String>,
    /// The name of the file of the target's keys.
    pub target: Option<String>,
    /// The rule files, the first one first.
    pub steps: Vec<Step>,
    /// Keys of the version that the file does not hold: they are left to the model's own initial values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A rule file that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// Its name.
    pub rules: String,
    /// The digest of its text.
    pub sha256: String,
    /// The versions that its header names.
    pub from: Option<String>,
    /// As above.
    pub to: Option<String>,
    /// Whether its proved inverse was run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reversed: bool,
    /// The rules that it takes in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_in: Vec<Text>,
}

/// A text that a rule file takes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Text {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub sha256: String,
}

impl Record {
    /// What a checkpoint says of itself; `None` where it says nothing, or nothing of this form.
    pub fn of(checkpoint: &Checkpoint) -> Option<Record> {
        serde_json::from_str(&checkpoint.record()?).ok()
    }

    /// What an output says of itself after more steps.
    pub fn after(
        before: Option<&Record>,
        steps: &[Step],
        target: Option<String>,
        left: Vec<String>,
    ) -> Record {
        let mut all = before.map_or_else(Vec::new, |before| before.steps.clone());
        all.extend_from_slice(steps);
        Record {
            tool: format!("migrate {}", env!("CARGO_PKG_VERSION")),
            from: all.first().and_then(|step| step.from.clone()),
            to: all.last().and_then(|step| step.to.clone()),
            target,
            steps: all,
            left,
        }
    }

    /// As the output holds it.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Step {
    /// The step that a rule file is.
    pub fn new(taken: &Taken, sources: &Sources) -> Step {
        let name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let mut taken_in: Vec<Text> = Vec::new();
        for source in sources.taken_in_among(taken.texts.clone()) {
            let text = Text { name: name(&source.name), sha256: digest(&source.text) };
            if !taken_in.contains(&text) {
                taken_in.push(text);
            }
        }
        let own = sources.get(taken.texts.start);
        Step {
            rules: own.map(|own| name(&own.name)).unwrap_or_default(),
            sha256: own.map(|own| digest(&own.text)).unwrap_or_default(),
            from: taken.from.clone(),
            to: taken.to.clone(),
            reversed: taken.reversed,
            taken_in,
        }
    }

    /// The text, of those that both know, that is another one than in `now`.
    pub fn edited(&self, now: &Step) -> Option<&str> {
        if self.sha256 != now.sha256 {
            return Some(&self.rules);
        }
        // What is shipped changes with the tool, which the record names.
        let own = self.taken_in.iter().filter(|text| !text.name.starts_with("use "));
        let edited = |text: &&Text| {
            let mut others = now.taken_in.iter().filter(|other| other.name == text.name).peekable();
            others.peek().is_some() && others.all(|other| other.sha256 != text.sha256)
        };
        own.map(|text| (text, edited(&text))).find(|(_, edited)| *edited).map(|(text, _)| text.name.as_str())
    }
}

/// The SHA-256 of a text, as `sha256sum` writes it.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
