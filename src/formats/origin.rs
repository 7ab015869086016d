//! What a file tells of who wrote it, and with which settings.

use indexmap::IndexMap;

use super::{Checkpoint, Other, pytorch};

/// What the container of a file tells of the program that wrote it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Whether it is torch's legacy format.
    pub legacy: bool,
    /// The short texts that torch puts beside the pickle of a zip file: `version`, `byteorder` …
    pub records: IndexMap<String, String>,
}

impl Origin {
    /// Which versions of torch lay a file out as this one is; torch notes its version nowhere.
    ///
    /// The serialization notes of torch's documentation date the zip file (1.6) and `byteorder` (2.1);
    /// `.format_version` is of pull request 147788, in 2.7 first.
    pub fn torch(&self) -> Option<&'static str> {
        let has = |name: &str| self.records.contains_key(name);
        match (self.legacy, has("version")) {
            (true, _) => Some("before 1.6"),
            (false, false) => None,
            _ if has(".format_version") => Some("2.7 or later"),
            _ if has("byteorder") => Some("2.1 to 2.6"),
            _ => Some("1.6 to 2.0"),
        }
    }
}

/// Where a file of torch or Lightning keeps the settings of its model. All others are shown as what they are.
const SETTINGS: [&str; 9] = [
    "hyper_parameters",
    "datamodule_hyper_parameters",
    "hparams",
    "hyperparameters",
    "model_args",
    "config",
    "cfg",
    "args",
    "opt",
];

/// The values of one dict of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The key of the root dict that holds them.
    pub name: String,
    /// Each value with the keys that lead to it from there, as Python writes it.
    pub values: Vec<Other>,
}

impl Checkpoint {
    /// The hyper-parameters and the like that lie in the root dict of a torch file.
    pub fn settings(&self) -> Vec<Settings> {
        let Some(document) = &self.document else { return Vec::new() };
        let all = SETTINGS.iter().map(|&name| {
            let values = pytorch::look::values(document, name);
            Settings { name: name.to_owned(), values }
        });
        // Not where that is the dict of tensors itself, or a tensor's name.
        let is_beside = |name: &str| self.others.iter().any(|other| other.path == name);
        all.filter(|settings| !settings.values.is_empty() && is_beside(&settings.name)).collect()
    }

    /// The keys of a dict in the root dict of a torch file; none where it is something else.
    pub fn keys_of(&self, name: &str) -> Vec<String> {
        self.document.as_ref().map(|document| pytorch::look::keys(document, name)).unwrap_or_default()
    }
}
