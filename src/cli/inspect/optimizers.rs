//! The optimizers of a checkpoint, a line each.

use indexmap::IndexSet;
use serde_json::{Value, json};

use crate::formats::{EntryData, Optimizer};
use crate::printable::printable;
use crate::quantity::{counted, size};
use crate::table::Table;

/// What the state of one optimizer comes to.
struct Summary<'a> {
    parameters: usize,
    /// The names of its values, such as `exp_avg`.
    values: IndexSet<&'a str>,
    bytes: u64,
}

fn summary(optimizer: &Optimizer) -> Summary<'_> {
    let states = optimizer.states.values().flatten();
    let bytes = states.clone().filter_map(|state| match &state.data {
        EntryData::Stored(stored) => stored.spec.nbytes(),
        EntryData::Opaque { .. } => None,
    });
    Summary {
        parameters: optimizer.groups.iter().map(|group| group.params.len()).sum(),
        values: states.clone().map(|state| state.name.as_str()).collect(),
        bytes: bytes.fold(0, u64::saturating_add),
    }
}

/// Where each lies, over how many parameters it goes, and what it holds for them.
pub(super) fn lines(optimizers: &[Optimizer]) -> Vec<String> {
    let mut table = Table::new();
    for optimizer in optimizers {
        let Summary { parameters, values, bytes } = summary(optimizer);
        let groups = match optimizer.groups.len() {
            1 => String::new(),
            groups => format!(" in {groups} groups"),
        };
        let names: Vec<String> = values.iter().map(|name| printable(name)).collect();
        let state = match names.is_empty() {
            true => "no state".to_owned(),
            false => format!("{} ({})", names.join(", "), size(bytes)),
        };
        table.row([
            printable(&optimizer.path),
            format!("{}{groups}", counted(parameters, "parameter")),
            state,
        ]);
    }
    table.lines("  ")
}

/// The same for programs.
pub(super) fn to_json(optimizers: &[Optimizer]) -> Value {
    let optimizer = |optimizer| {
        let Summary { parameters, values, bytes } = summary(optimizer);
        json!({
            "path": optimizer.path,
            "groups": optimizer.groups.len(),
            "parameters": parameters,
            "with_state": optimizer.states.len(),
            "state": values,
            "bytes": bytes,
        })
    };
    optimizers.iter().map(optimizer).collect()
}
