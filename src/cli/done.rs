//! What a migration that was carried out says of itself.

use serde_json::{Value, json};

use crate::apply::{Destination, Report};
use crate::edit::Edit;
use crate::formats::{Checkpoint, Other, ShardPart};
use crate::optimizer::Followed;
use crate::plan::Plan;
use crate::printable::printable;
use crate::quantity::{counted, size};

use super::beside::Beside;
use super::prove::Course;

/// A migration that was carried out.
pub(super) struct Done<'a> {
    pub plans: &'a [Plan],
    /// How many of the plans are of the rules themselves; the others are of dicts that follow the first.
    pub ruled: usize,
    pub checkpoint: &'a Checkpoint,
    pub beside: &'a Beside,
    pub course: &'a Course,
    pub destinations: &'a [Destination<'a>],
    /// One for each destination.
    pub reports: &'a [Report],
}

/// The line on names that the inputs mention and no output does.
pub(super) fn globals_left_out(globals: &[String]) -> String {
    format!("left out, classes and functions beyond torch's weights_only allow-list: {}", globals.join(", "))
}

impl Done<'_> {
    /// What else the inputs hold: kept, and left out.
    fn others(&self) -> (Vec<String>, Vec<String>) {
        // What is said of optimizers that change is not said here too.
        let changed = self.checkpoint.optimizers.iter().zip(&self.beside.optimizers);
        let changed: Vec<&str> = changed
            .filter(|(_, followed)| !matches!(followed, Followed::Kept))
            .map(|(optimizer, _)| optimizer.path.as_str())
            .collect();
        let holds = |other: &str, path: &str| {
            path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let is_told = |other: &Other| changed.iter().any(|path| holds(&other.path, path));
        let own = self.checkpoint.others.iter().filter(|other| !is_told(other));
        // The record is the program's own, and is written anew.
        let own = own.filter(|other| other.path != "migrate" || self.checkpoint.record().is_none());
        let own = own.map(|other| other.path.clone()).collect();
        let mut left_out = Vec::new();
        for further in &self.checkpoint.further {
            let file = further.path.display();
            left_out.extend(further.others.iter().map(|other| format!("{file}: {}", other.path)));
        }
        if self.beside.weights_only { (Vec::new(), [own, left_out].concat()) } else { (own, left_out) }
    }

    /// The names beyond torch's weights-only list that the inputs mention and no output does: what looked
    /// suspicious must not look harmless in silence.
    fn globals_left_out(&self) -> Vec<&str> {
        let is_written =
            |name: &String| self.reports.iter().any(|report| report.written.globals.contains(name));
        let left_out = self.checkpoint.refused.globals.iter().filter(|&name| !is_written(name));
        left_out.map(String::as_str).collect()
    }

    /// The outcome for machines.
    pub fn json(&self) -> Value {
        let (kept, left_out) = self.others();
        let outputs = self.reports.iter().flat_map(|report| &report.written.files);
        let outputs: Vec<Value> =
            outputs.map(|file| json!({ "path": file.path, "bytes": file.bytes })).collect();
        let dicts = self.plans.iter().zip(&self.checkpoint.dicts).map(|(plan, dict)| {
            let counts = plan.counts();
            json!({
                "at": dict.at.name(),
                "tensors": plan.outputs().len(),
                "kept": counts.kept,
                "renamed": counts.renamed,
                "computed": counts.computed,
                "filled": counts.filled,
                "dropped": counts.dropped,
                "target": plan.target(),
            })
        });
        json!({
            "format": 1,
            "versions": self.course.versions,
            "outputs": outputs,
            "dicts": dicts.collect::<Vec<Value>>(),
            "values": self.beside.edits.iter().map(Edit::to_string).collect::<Vec<String>>(),
            "others_kept": kept,
            "others_left_out": left_out,
            "globals_left_out": self.globals_left_out(),
        })
    }

    /// The outcome for people.
    pub fn text(&self) -> String {
        let outputs = self.destinations.iter().zip(self.reports).map(|(destination, report)| {
            let name = printable(&destination.path.display().to_string());
            let shards = report.written.shards();
            let shards = match destination.shards.as_ref().and_then(|shards| shards.part) {
                Some(ShardPart { cut, .. }) => {
                    format!(" in {} of part {cut}", counted(report.written.files.len(), "shard"))
                }
                None => shards.map(|shards| format!(" in {}", counted(shards, "shard"))).unwrap_or_default(),
            };
            (name, format!("{}{shards}", size(report.written.bytes())))
        });
        let outputs: Vec<(String, String)> = outputs.collect();
        let mirrors = self.plans.iter().zip(&self.checkpoint.dicts).skip(self.ruled);
        let mirrors = mirrors.map(|(plan, dict)| {
            format!("{}\n", super::plan::mirror(self.checkpoint.main_dict(), dict, plan))
        });
        let way = self.course.text().map(|way| format!("{way}\n")).unwrap_or_default();
        let told = match (outputs.as_slice(), &self.plans[..self.ruled]) {
            ([(name, bytes)], [plan]) => format!("{name}: {}, {bytes}\n", plan.summary()),
            (outputs, plans) => {
                let outputs = outputs.iter().map(|(name, bytes)| format!("{name}, {bytes}\n"));
                let dicts = plans.iter().zip(&self.checkpoint.dicts);
                let dicts = dicts.map(|(plan, dict)| match plans.len() {
                    1 => format!("  {}\n", plan.summary()),
                    _ => format!("  {}: {}\n", dict.at.name(), plan.summary()),
                });
                outputs.chain(dicts).collect()
            }
        };
        let mut text = way + &told;
        text.extend(mirrors);
        let (kept, left_out) = self.others();
        for (what, names) in [("kept as it is", &kept), ("left out", &left_out)] {
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
                text.push_str(&format!("{what}: {}\n", names.join(", ")));
            }
        }
        let globals = self.globals_left_out();
        if !globals.is_empty() {
            let globals: Vec<String> = globals.into_iter().map(printable).collect();
            text.push_str(&format!("{}\n", globals_left_out(&globals)));
        }
        for edit in &self.beside.edits {
            text.push_str(&format!("changed: {}\n", printable(&edit.to_string())));
        }
        let tied: Vec<&str> =
            self.reports.iter().flat_map(|report| &report.tied_left_out).map(String::as_str).collect();
        if !tied.is_empty() {
            text.push_str(&format!(
                "left out, the model ties them itself: {}\n",
                printable(&tied.join(", "))
            ));
        }
        let changes = self.plans.iter().any(|plan| !plan.changes_nothing());
        for (optimizer, followed) in self.checkpoint.optimizers.iter().zip(&self.beside.optimizers) {
            match (followed, followed.params()) {
                (_, Some(params)) => {
                    let params = counted(params, "parameter");
                    text.push_str(&format!("optimizer state follows: {}, {params}\n", optimizer.path));
                }
                (Followed::Dropped, _) => text.push_str(&format!("left out: {}\n", optimizer.path)),
                _ => {}
            }
        }
        if changes && self.plans.iter().any(|plan| plan.target().is_none()) {
            text.push_str("note: there was no target, so nothing shows that a model will load it\n");
        }
        let untold: usize = self.plans.iter().map(|plan| plan.untold().len()).sum();
        if untold > 0 {
            let keys = counted(untold, "key");
            text.push_str(&format!(
                "note: the target does not tell dtype and shape of {keys}: not compared\n"
            ));
        }
        let unproved: usize = self.plans.iter().map(|plan| plan.unproved().len()).sum();
        if unproved > 0 {
            let statements = counted(unproved, "statement");
            text.push_str(&format!(
                "note: the shapes do not prove {statements}; `migrate plan` names them\n"
            ));
        }
        text
    }
}
