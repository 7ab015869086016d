//! What the migration of several checkpoints says of itself.

use std::path::Path;

use serde_json::{Value, json};

use crate::printable::printable;
use crate::quantity::{counted, size};
use crate::table::Table;

use super::Exit;
use super::done::globals_left_out;

/// How it went with one checkpoint.
pub(super) enum Fate {
    Migrated {
        bytes: u64,
        json: Value,
    },
    /// It is what it should become already.
    Already {
        json: Value,
    },
    /// It would be migrated, and this is the plan.
    Planned {
        json: Value,
    },
    Failed {
        exit: Exit,
        code: &'static str,
        problems: Vec<Value>,
    },
    /// Another one failed before it was begun.
    NotRun,
}

impl Fate {
    /// The word for it in JSON, and how people are told.
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Fate::Migrated { .. } => ("migrated", "migrated"),
            Fate::Already { .. } => ("already_migrated", "nothing to do"),
            Fate::Planned { .. } => ("planned", "would be migrated"),
            Fate::Failed { .. } => ("failed", "failed"),
            Fate::NotRun => ("not_run", "not begun"),
        }
    }
}

/// A checkpoint, and where it goes.
pub(super) struct File<'a> {
    pub input: &'a Path,
    pub output: &'a Path,
    pub fate: Fate,
}

/// All checkpoints, in the order of the command line.
pub(super) struct Told<'a> {
    pub files: Vec<File<'a>>,
}

impl Told<'_> {
    /// The worst of the exit codes.
    pub fn exit(&self) -> Exit {
        let failed = self.files.iter().filter_map(|file| match file.fate {
            Fate::Failed { exit, .. } => Some(exit),
            _ => None,
        });
        failed.max_by_key(|exit| *exit as u8).unwrap_or(Exit::Done)
    }

    /// How many ended in each way, in the order of [`Fate`].
    fn counts(&self) -> [(&'static str, &'static str, usize); 5] {
        let json = || Value::Null;
        let all = [
            Fate::Migrated { bytes: 0, json: json() },
            Fate::Already { json: json() },
            Fate::Planned { json: json() },
            Fate::Failed { exit: Exit::Done, code: "", problems: Vec::new() },
            Fate::NotRun,
        ];
        all.map(|fate| {
            let (word, told) = fate.words();
            (word, told, self.files.iter().filter(|file| file.fate.words().0 == word).count())
        })
    }

    /// The outcome for machines.
    pub fn json(&self) -> Value {
        let files = self.files.iter().map(|file| {
            let mut value = json!({
                "input": file.input,
                "output": file.output,
                "outcome": file.fate.words().0,
                "exit": 0,
            });
            match &file.fate {
                Fate::Migrated { json, .. } | Fate::Already { json } => value["report"] = json.clone(),
                Fate::Planned { json } => value["plan"] = json.clone(),
                Fate::Failed { exit, problems, .. } => {
                    value["exit"] = json!(*exit as u8);
                    value["problems"] = json!(problems);
                }
                Fate::NotRun => value["exit"] = Value::Null,
            }
            value
        });
        let counts = self.counts().into_iter().map(|(word, _, count)| (word.to_owned(), count.into()));
        json!({
            "format": 1,
            "files": files.collect::<Vec<Value>>(),
            "counts": counts.collect::<serde_json::Map<String, Value>>(),
        })
    }

    /// The outcome for people: a row for each, and how many ended in each way.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.row(["checkpoint", "outcome", "output", "size"]);
        for File { input, output, fate } in &self.files {
            let show = |path: &Path| printable(&path.display().to_string());
            let told = fate.words().1.to_owned();
            match fate {
                Fate::Migrated { bytes, .. } => table.row([show(input), told, show(output), size(*bytes)]),
                Fate::Planned { .. } => table.row([show(input), told, show(output)]),
                Fate::Failed { code, .. } => table.row([show(input), format!("{told}: {code}")]),
                Fate::Already { .. } | Fate::NotRun => table.row([show(input), told]),
            }
        }
        let mut left_out = String::new();
        for File { input, fate, .. } in &self.files {
            let Fate::Migrated { json, .. } = fate else { continue };
            let globals = json["globals_left_out"].as_array().into_iter().flatten();
            let globals: Vec<String> = globals.filter_map(|name| name.as_str().map(printable)).collect();
            if !globals.is_empty() {
                let input = printable(&input.display().to_string());
                left_out.push_str(&format!("{input}: {}\n", globals_left_out(&globals)));
            }
        }
        let counts = self.counts().into_iter().filter(|(_, _, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(_, told, count)| format!("{count} {told}")).collect();
        let all = counted(self.files.len(), "checkpoint");
        format!("{}\n{left_out}{all}: {}\n", table.lines("").join("\n"), counts.join(", "))
    }
}
