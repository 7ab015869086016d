//! Where the modules of a state dict went: `_metadata` holds versions by module path, and follows its keys.

use foldhash::{HashMap, HashSet};

use super::Plan;

/// For each module path that changed, its new paths (none: the module is gone).
///
/// A module follows the keys below it: `a.b` becomes `x.b` when `a.b.weight` became `x.b.weight`. Where its
/// keys went to several places it goes to each; a module without keys follows the module above it.
pub fn renamed_modules(plan: &Plan, modules: &[String]) -> HashMap<String, Vec<String>> {
    if modules.is_empty() {
        return HashMap::default();
    }
    // Of long keys with many dots, only the beginnings that are modules are looked at.
    let wanted: HashSet<&str> = modules.iter().map(String::as_str).collect();
    let lengths: HashSet<usize> = wanted.iter().map(|module| module.len()).collect();
    // The outputs that each source key went to, under which name.
    let mut went: HashMap<&str, Vec<&str>> = HashMap::default();
    for output in plan.outputs() {
        for source in plan.arena().sources(output.expr) {
            if let Some((key, _)) = plan.source().keys.get_index(source) {
                went.entry(key).or_default().push(&output.key);
            }
        }
    }
    // For each module with keys: where they went, as module paths.
    let mut places: HashMap<&str, Vec<String>> = HashMap::default();
    for (key, _) in plan.source().iter() {
        let targets = went.get(&**key).map_or(&[][..], Vec::as_slice);
        let mut depth = 0;
        let mut module: &str = key;
        while let Some((above, _)) = module.rsplit_once('.') {
            (module, depth) = (above, depth + 1);
            if !lengths.contains(&module.len()) || !wanted.contains(module) {
                continue;
            }
            let suffix = &key[module.len()..];
            let found = places.entry(module).or_default();
            for target in targets {
                // The direct module of a key follows even where the parameter's own name changed.
                let place = match target.strip_suffix(suffix) {
                    Some(place) => Some(place),
                    None if depth == 1 => target.rsplit_once('.').map(|(place, _)| place),
                    None => None,
                };
                if let Some(place) = place
                    && !found.iter().any(|own| own == place)
                {
                    found.push(place.to_owned());
                }
            }
        }
    }
    let mut renamed: HashMap<String, Vec<String>> = HashMap::default();
    for module in modules {
        let new = match places.get(module.as_str()) {
            Some(found) => found.clone(),
            None => below(module, &renamed),
        };
        if new != [module.as_str()] {
            renamed.insert(module.clone(), new);
        }
    }
    renamed
}

/// Where a module without keys goes: with the nearest module above it that moved.
fn below(module: &str, renamed: &HashMap<String, Vec<String>>) -> Vec<String> {
    let mut above = module;
    while let Some((shorter, _)) = above.rsplit_once('.') {
        above = shorter;
        if let Some(places) = renamed.get(above) {
            let rest = &module[above.len()..];
            return places.iter().map(|place| format!("{place}{rest}")).collect();
        }
    }
    vec![module.to_owned()]
}
