//! Several outputs: each takes the keys under its name.

use foldhash::HashMap;

use super::Destination;
use super::error::ApplyError;
use crate::formats::StateDict;
use crate::plan::{Plan, renamed_modules};

/// What the plan's keys begin with that those of the output do not.
pub(super) fn prefix(destination: &Destination) -> String {
    destination.name.map(|name| format!("{name}.")).unwrap_or_default()
}

/// Checks that no key of the plan is left over.
pub(super) fn each_has_one(plan: &Plan, destinations: &[Destination]) -> Result<(), ApplyError> {
    let prefixes: Vec<String> = destinations.iter().map(prefix).collect();
    let homeless = |key: &str| !prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()));
    match plan.outputs().iter().find(|output| homeless(&output.key)) {
        Some(output) => Err(ApplyError::NoOutput { key: output.key.to_string(), prefixes }),
        None => Ok(()),
    }
}

/// Where the modules of a source's `_metadata` went, as one output has them.
pub(super) fn modules(plan: &Plan, source: &StateDict, prefix: &str) -> HashMap<String, Vec<String>> {
    if source.prefix.is_empty() && prefix.is_empty() {
        return renamed_modules(plan, &source.modules);
    }
    let within = |name: &str, prefix: &str| -> String {
        // The root module of an input has no name but the input's own.
        if name.is_empty() { prefix.trim_end_matches('.').to_owned() } else { format!("{prefix}{name}") }
    };
    let without = |name: &str| -> Option<String> {
        if name == prefix.trim_end_matches('.') {
            return Some(String::new());
        }
        name.strip_prefix(prefix).map(str::to_owned)
    };
    let named: Vec<String> = source.modules.iter().map(|module| within(module, &source.prefix)).collect();
    let renamed = renamed_modules(plan, &named);
    let places = named.iter().zip(&source.modules).map(|(named, module)| {
        let places = renamed.get(named).map_or(std::slice::from_ref(named), Vec::as_slice);
        (module.clone(), places.iter().filter_map(|place| without(place)).collect())
    });
    places.collect()
}
