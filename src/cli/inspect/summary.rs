//! What a checkpoint holds, as people read it.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::modules::{MAX_LEVELS, Tensor, Total, levels, tree};
use super::{Inspected, globals, optimizers};
use crate::cli::record::Record;
use crate::formats::Other;
use crate::keyset::{KeyInfo, fold_specs};
use crate::printable::printable;
use crate::quantity::{counted, size, thousands};
use crate::table::Table;
use crate::tensor::Dtype;

/// How many lines the tree of modules may have to show one more level.
const TREE_LINES: usize = 36;
/// How many lines a list has before the rest is counted only.
const MAX_LINES: usize = 24;

/// The totals of each dtype, the one with the most bytes first.
pub(super) fn by_dtype(tensors: &[Tensor<'_>]) -> IndexMap<Dtype, Total> {
    let mut groups: IndexMap<Dtype, Vec<Tensor<'_>>> = IndexMap::new();
    for tensor in tensors {
        groups.entry(tensor.spec.dtype).or_default().push(*tensor);
    }
    let mut totals: IndexMap<Dtype, Total> =
        groups.into_iter().map(|(dtype, tensors)| (dtype, Total::of(tensors))).collect();
    totals.sort_by(|_, a, _, b| b.bytes.cmp(&a.bytes));
    totals
}

impl Inspected<'_> {
    /// The text of `migrate inspect`.
    pub(super) fn to_text(&self, keys: bool) -> String {
        let tensors = self.tensors();
        let mut sections = vec![self.head(&tensors)];
        if !tensors.is_empty() {
            sections.push(dtype_lines(&tensors));
            sections.push(if keys { self.key_lines() } else { module_lines(&tensors, self.depth) });
        }
        sections.push(self.tie_lines());
        sections.push(self.opaque_lines());
        sections.extend(self.setting_lines());
        sections.push(section("optimizers", optimizers::lines(&self.checkpoint.optimizers)));
        sections.push(self.other_lines());
        sections.push(self.metadata_lines());
        sections.extend(globals::lines(&self.checkpoint.refused));
        joined(sections)
    }

    fn head(&self, tensors: &[Tensor<'_>]) -> Vec<String> {
        let total = Total::of(tensors.iter().copied());
        let mut table = Table::new();
        let (file, shards) = match self.shards() {
            Some(shards) => ("files", format!(" in {}", counted(shards, "shard"))),
            None => ("file", String::new()),
        };
        table.row([file.to_owned(), format!("{}, {}{shards}", self.format_name(), size(self.bytes))]);
        if let Some(torch) = self.checkpoint.origin.torch() {
            table.row(["layout".to_owned(), format!("of torch {torch}")]);
        }
        if let Some(version) = self.lightning() {
            table.row(["written by".to_owned(), format!("Lightning {}", printable(version))]);
        }
        if let Some(record) = self.record() {
            table.row(["migrated".to_owned(), record_text(&record)]);
        }
        let at = self.checkpoint.main_dict().at.to_string();
        let place = if at.is_empty() { String::new() } else { format!(" in `{}`", printable(&at)) };
        let what = match total.tensors {
            0 => "none: the file holds no dict of tensors".to_owned(),
            count => {
                let elements = counted(total.elements, "element");
                format!("{}{place}, {elements}, {}", thousands(count as u64), size(total.bytes))
            }
        };
        table.row(["tensors".to_owned(), what]);
        let mut dtypes = tensors.iter().map(|tensor| tensor.spec.dtype);
        if let Some(dtype) = dtypes.next().filter(|first| dtypes.all(|dtype| dtype == *first)) {
            table.row(["dtype", dtype.name()]);
        }
        let mut lines = vec![printable(&self.checkpoint.path.display().to_string())];
        lines.extend(table.lines("  "));
        lines
    }

    fn key_lines(&self) -> Vec<String> {
        let mut table = Table::new();
        for (key, KeyInfo { spec, tied, .. }) in self.keys.iter() {
            let tied = tied.as_ref().map(|to| format!("tied {}", printable(to)));
            table.row([printable(key), spec.to_string(), tied.unwrap_or_default()]);
        }
        let mut lines = vec!["keys".to_owned()];
        lines.extend(table.lines("  "));
        lines
    }

    fn tie_lines(&self) -> Vec<String> {
        let tied = self.keys.iter().filter_map(|(key, info)| Some((key, info.tied.as_ref()?)));
        let mut table = Table::new();
        for (key, to) in tied {
            table.row([printable(key), "=".to_owned(), printable(to)]);
        }
        section("tied: two names of one tensor, whose bytes are counted once", table.lines("  "))
    }

    fn opaque_lines(&self) -> Vec<String> {
        let entries: Vec<(&str, &str)> = self.opaque().collect();
        let mut table = Table::new();
        for line in fold_specs(entries.iter().copied()) {
            let what = entries.get(line.first).map_or("", |(_, what)| what);
            table.row([printable(&line.pattern), printable(what), count_text(line.count)]);
        }
        section(
            "entries that are no plain tensors: they can be renamed and dropped, and are kept as they are",
            table.lines("  "),
        )
    }

    fn setting_lines(&self) -> impl Iterator<Item = Vec<String>> {
        self.checkpoint.settings().into_iter().map(|settings| {
            let mut table = Table::new();
            for value in &settings.values {
                table.row([printable(&value.path), printable(&value.what)]);
            }
            let title = match settings.name.as_str() {
                "hyper_parameters" => "hyper-parameters".to_owned(),
                name => format!("settings in `{}`", printable(name)),
            };
            section(&title, table.lines("  "))
        })
    }

    fn other_lines(&self) -> Vec<String> {
        let settings: Vec<String> =
            self.checkpoint.settings().into_iter().map(|settings| settings.name).collect();
        let optimizers = &self.checkpoint.optimizers;
        let mut paths: Vec<&str> = optimizers.iter().map(|optimizer| optimizer.path.as_str()).collect();
        paths.sort_unstable();
        // What has a section or a line of its own is not told twice.
        let is_told = |other: &&Other| match other.path.as_str() {
            "pytorch-lightning_version" => self.lightning().is_some(),
            "migrate" => self.record().is_some(),
            path if settings.iter().any(|name| name == path) => true,
            path if paths.binary_search(&path).is_ok() => true,
            path => {
                let below = format!("{path}.");
                let first = paths.partition_point(|&other| other < below.as_str());
                let inside = paths[first..].partition_point(|other| other.starts_with(&below));
                inside > 0 && [format!("list of {inside}"), format!("dict of {inside}")].contains(&other.what)
            }
        };
        let mut table = Table::new();
        for other in self.checkpoint.others.iter().filter(|other| !is_told(other)) {
            let mut what = printable(&other.what);
            // Of lines that are not shown nothing more is looked up.
            if table.len() < MAX_LINES && what.starts_with("dict of ") && !what.ends_with("tensors") {
                let keys = self.checkpoint.keys_of(&other.path);
                if !keys.is_empty() {
                    what += &format!(": {}", shortened(&printable(&keys.join(", "))));
                }
            }
            table.row([printable(&other.path), what]);
        }
        section("what else the file holds", table.lines("  "))
    }

    fn metadata_lines(&self) -> Vec<String> {
        let mut table = Table::new();
        let is_told = |name: &str| name == "migrate" && self.record().is_some();
        for (name, text) in self.checkpoint.metadata.iter().filter(|item| !is_told(item.0)) {
            table.row([printable(name), printable(&shortened(text))]);
        }
        section("metadata", table.lines("  "))
    }
}

/// The beginning of a text that may be long.
fn shortened(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    short + dots
}

/// Sections with an empty line between them.
pub(super) fn joined(mut sections: Vec<Vec<String>>) -> String {
    sections.retain(|lines| !lines.is_empty());
    sections.iter().map(|lines| lines.join("\n") + "\n").collect::<Vec<_>>().join("\n")
}

/// What `migrate` has noted of a migration, in a sentence.
fn record_text(record: &Record) -> String {
    let rules: Vec<String> = record.steps.iter().map(|step| printable(&step.rules)).collect();
    let to = record.to.as_ref().or(record.target.as_ref()).map(|to| format!(" to {}", printable(to)));
    let from = record.from.as_ref().map(|from| format!(" from {}", printable(from)));
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
    format!("by {} with {}{from}{to}", printable(&record.tool), rules.join(", "))
}

fn total_json(total: &Total) -> Value {
    json!({ "tensors": total.tensors, "elements": total.elements, "bytes": total.bytes })
}

/// The totals of all tensors, of each dtype and of each module, for programs.
pub(super) fn totals_json(tensors: &[Tensor<'_>], depth: Option<usize>) -> Map<String, Value> {
    let total = Total::of(tensors.iter().copied());
    let dtypes = by_dtype(tensors);
    let dtypes: Map<String, Value> =
        dtypes.iter().map(|(dtype, total)| (dtype.name().to_owned(), total_json(total))).collect();
    let mut names: Vec<String> = Vec::new();
    let modules = levels(tensors, depth.unwrap_or(MAX_LEVELS)).into_iter().map(|module| {
        names.truncate(module.depth);
        names.push(module.name);
        let Total { tensors, elements, bytes } = module.total;
        json!({ "path": names.join("."), "tensors": tensors, "elements": elements, "bytes": bytes })
    });
    let modules: Value = modules.collect();
    let mut all = Map::new();
    for (name, count) in
        [("tensors", total.tensors as u64), ("elements", total.elements), ("bytes", total.bytes)]
    {
        all.insert(name.to_owned(), json!(count));
    }
    all.insert("dtypes".to_owned(), Value::Object(dtypes));
    all.insert("modules".to_owned(), modules);
    all
}

/// The dtypes, where there are several.
pub(super) fn dtype_lines(tensors: &[Tensor<'_>]) -> Vec<String> {
    let dtypes = by_dtype(tensors);
    if dtypes.len() < 2 {
        return Vec::new();
    }
    total_lines("dtypes", dtypes.iter().map(|(dtype, total)| (dtype.to_string(), *total)))
}

pub(super) fn module_lines(tensors: &[Tensor<'_>], depth: Option<usize>) -> Vec<String> {
    let modules = match depth {
        Some(depth) => levels(tensors, depth),
        None => tree(tensors, TREE_LINES),
    };
    let modules = modules.into_iter();
    let named = modules
        .map(|module| (format!("{}{}", "  ".repeat(module.depth), printable(&module.name)), module.total));
    let mut lines = total_lines("modules", named);
    let more = lines.len().saturating_sub(TREE_LINES * 2);
    if more > 0 && depth.is_none() {
        lines.truncate(TREE_LINES * 2);
        lines.push(format!("  … and {} (--depth N shows all lines of N levels)", counted(more, "more line")));
    }
    lines
}

fn total_lines(title: &str, totals: impl Iterator<Item = (String, Total)>) -> Vec<String> {
    let mut table = Table::new().right([1, 2, 3]);
    table.row([title, "tensors", "elements", "size"]);
    for (name, total) in totals {
        let name = format!("  {name}");
        table.row([name, thousands(total.tensors as u64), thousands(total.elements), size(total.bytes)]);
    }
    table.lines("")
}

/// A title and its lines, the first of them where there are many.
pub(super) fn section(title: &str, mut lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    let more = lines.len().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.truncate(MAX_LINES);
        lines.push(format!("  … and {} (--json has them all)", counted(more, "more line")));
    }
    lines.insert(0, title.to_owned());
    lines
}

fn count_text(count: usize) -> String {
    if count == 1 { String::new() } else { counted(count, "key") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
