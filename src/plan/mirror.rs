//! Other dicts of a checkpoint that mirror the state dict, such as an average of the weights: they follow what
//! is planned for it.
//!
//! The rules are not run over them again. A mirror may lack keys (an average of the parameters alone has no
//! buffers) or hold them all below a prefix (`AveragedModel` writes `module.` and an `n_averaged` beside it);
//! the plan of the state dict, put over the mirror's tensors, is right for these too, and where it cannot be
//! put over them whole the dict is no mirror.

use foldhash::HashSet;

use super::{Arena, Assertion, AssertionKind, ExprId, Output, Plan, Problem, ProblemKind};
use crate::keyset::{Key, KeySet, fold};

/// From how many keys of each dict the prefix is guessed.
const PROBES: usize = 8;
/// How many prefixes are tried: keys as short as `weight` end too many others.
const MAX_PREFIXES: usize = 64;

/// How many lines of differing keys a report shows.
const SHOWN: usize = 4;

/// How another dict of tensors stands to the one that a plan is for.
#[derive(Debug)]
pub enum Mirrored {
    /// It is a mirror, and this is done to it.
    Follows(Box<Plan>),
    /// It nearly is one, and cannot follow.
    Nearly(Box<Problem>),
    /// It has nothing in common with it.
    Unrelated,
}

/// What the keys of a mirror have before those of the state dict, or lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Prefix {
    added: String,
    removed: String,
}

impl Prefix {
    /// The key of the state dict that a key of the mirror stands for; none where it lies beside them.
    fn to_main(&self, key: &str) -> Option<String> {
        Some(format!("{}{}", self.removed, key.strip_prefix(&self.added)?))
    }

    /// The key of the mirror for one of the state dict.
    fn to_mirror(&self, key: &str) -> Option<String> {
        Some(format!("{}{}", self.added, key.strip_prefix(&self.removed)?))
    }
}

/// What becomes of `keys`, those of another dict of the checkpoint whose state dict `plan` is for; the names are
/// those of the two dicts.
pub fn mirrored(plan: &Plan, main_name: &str, keys: KeySet, name: &str) -> Mirrored {
    let main = plan.source();
    let (prefix, shared) = best_prefix(main, &keys);
    if shared.is_empty() {
        return Mirrored::Unrelated;
    }
    let of = keys.len();
    let nearly = |why: String| {
        let (name, main, shared) = (name.to_owned(), main_name.to_owned(), shared.len());
        let help = format!("where the rules are to run over it too, name both: `in {main}, {name}`");
        let problem = Problem::new(ProblemKind::NearMirror { name, main, shared, of }, None);
        Mirrored::Nearly(Box::new(problem.note(why).help(help)))
    };
    let strangers: Vec<&Key> = keys
        .iter()
        .map(|(key, _)| key)
        .filter(|key| !shared.contains(*key) && prefix.to_main(key).is_some())
        .collect();
    let few = shared.len() < 2 && main.len() > 1;
    if !strangers.is_empty() || few {
        // A few names in common are no likeness.
        let likeness = shared.len() * 2 >= main.len().min(of) && !few;
        return match likeness {
            true => nearly(listing("it has other keys, or other shapes", &strangers)),
            false => Mirrored::Unrelated,
        };
    }
    match put_over(plan, keys, &prefix) {
        Ok(plan) => Mirrored::Follows(Box::new(plan)),
        Err(why) => nearly(why),
    }
}

/// The prefix under which the most keys stand for one of the state dict of the same shape, with those keys.
fn best_prefix(main: &KeySet, keys: &KeySet) -> (Prefix, HashSet<Key>) {
    let names = |keys: &KeySet| keys.iter().map(|(key, _)| key.clone()).collect::<Vec<Key>>();
    let (main_names, names) = (names(main), names(keys));
    let mut prefixes = vec![Prefix::default()];
    let mut probe = |longer: &[Key], shorter: &[Key], make: &dyn Fn(String) -> Prefix| {
        for probe in shorter.iter().take(PROBES) {
            let rest = longer.iter().filter_map(|key| key.strip_suffix(&**probe));
            let found = rest.filter(|rest| rest.ends_with('.')).map(|rest| make(rest.to_owned()));
            for prefix in found.take(MAX_PREFIXES) {
                if prefixes.len() < MAX_PREFIXES && !prefixes.contains(&prefix) {
                    prefixes.push(prefix);
                }
            }
        }
    };
    probe(&names, &main_names, &|added| Prefix { added, ..Prefix::default() });
    probe(&main_names, &names, &|removed| Prefix { removed, ..Prefix::default() });
    let shared = |prefix: &Prefix| -> HashSet<Key> {
        let same = keys.iter().filter(|(key, info)| {
            let main = prefix.to_main(key).and_then(|key| main.keys.get(&*key));
            main.is_some_and(|main| main.spec.shape == info.spec.shape)
        });
        same.map(|(key, _)| key.clone()).collect()
    };
    let ranked = prefixes.into_iter().map(|prefix| (shared(&prefix), prefix));
    // Of equals the first, which is the shortest way.
    let best = ranked.reduce(|best, next| if next.0.len() > best.0.len() { next } else { best });
    best.map(|(shared, prefix)| (prefix, shared)).unwrap_or_default()
}

/// The plan of the state dict over the tensors of its mirror.
///
/// # Errors
/// Why it does not fit, in words.
fn put_over(plan: &Plan, keys: KeySet, prefix: &Prefix) -> Result<Plan, String> {
    let main = plan.source();
    let mut arena = Arena::default();
    // For each source of the state dict, that of the mirror.
    let mut sources: Vec<Option<ExprId>> = vec![None; main.len()];
    let mut beside = Vec::new();
    for (index, (key, info)) in keys.iter().enumerate() {
        let expr = arena.add_source(index, info.spec.clone());
        match prefix.to_main(key).and_then(|key| main.keys.get_index_of(&*key)) {
            Some(of_main) => sources[of_main] = Some(expr),
            None => beside.push(Output { key: key.clone(), expr, tied: false }),
        }
    }
    let whole = sources.iter().all(Option::is_some);
    let exprs = plan.arena().copied_into(&mut arena, &sources)?;
    let expr_of = |expr: ExprId| exprs.get(expr.index()).copied().flatten();
    let mut outputs = Vec::new();
    for output in plan.outputs() {
        let made_of = plan.arena().sources(output.expr);
        let has = made_of.iter().filter(|&&index| sources.get(index).is_some_and(Option::is_some)).count();
        match expr_of(output.expr) {
            Some(expr) if has > 0 || whole => {
                let key = prefix.to_mirror(&output.key).ok_or_else(|| {
                    format!("`{}` does not begin with `{}` any more", output.key, prefix.removed)
                })?;
                outputs.push(Output { key: Key::from(key), expr, tied: output.tied });
            }
            _ if has > 0 => return Err(format!("it lacks tensors that `{}` is made of", output.key)),
            _ if made_of.is_empty() => {
                return Err(format!(
                    "it lacks keys, and nothing says whether `{}` belongs to it",
                    output.key
                ));
            }
            _ => {}
        }
    }
    outputs.splice(0..0, beside);
    let assertions = plan.assertions().iter().filter_map(|assertion| {
        let kind = match &assertion.kind {
            AssertionKind::Value(value) => AssertionKind::Value(*value),
            AssertionKind::Equal { other, other_expr } => {
                AssertionKind::Equal { other: other.clone(), other_expr: expr_of(*other_expr)? }
            }
        };
        Some(Assertion { expr: expr_of(assertion.expr)?, kind, ..assertion.clone() })
    });
    Ok(Plan {
        assertions: assertions.collect(),
        arena,
        source: keys,
        target: plan.target.clone(),
        outputs,
        applied: Vec::new(),
        left: Vec::new(),
        untold: Vec::new(),
        unproved: Vec::new(),
    })
}

fn listing(title: &str, keys: &[&Key]) -> String {
    let folds = fold(keys.iter().map(|key| &***key));
    let mut text = format!("{title}:");
    for folded in folds.iter().take(SHOWN) {
        text.push_str(&format!("\n  {}", folded.pattern));
    }
    if folds.len() > SHOWN {
        text.push_str("\n  …");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::rules::{Given, resolve};
    use crate::source::Sources;
    use crate::tensor::{Dtype, TensorSpec};
    use crate::{plan, syntax};

    /// Keys with a shape `[n]` each: `a.w 2`.
    fn keyset(keys: &[&str]) -> KeySet {
        let mut keyset = KeySet::new("some");
        for key in keys {
            let (key, size) = key.split_once(' ').unwrap();
            let spec = TensorSpec::new(Dtype::F32, [size.parse().unwrap()]);
            keyset.keys.insert(key.into(), spec.into());
        }
        keyset
    }

    /// The keys that become of a dict beside the state dict, or why it stays.
    fn beside(rules: &str, dict: &[&str]) -> String {
        let mut sources = Sources::new();
        let file = sources.add("r.rules", rules);
        let rules = resolve(&syntax::parse(rules, file).0, &sources, &Given::default()).rules;
        let main = keyset(&["m.a.w 4", "m.a.b 2", "m.n.mean 2"]);
        let plan = plan::plan(&rules, &sources, main, None).plan.unwrap();
        match mirrored(&plan, "state_dict", keyset(dict), "ema") {
            Mirrored::Follows(plan) => {
                let keys: Vec<&str> = plan.outputs().iter().map(|output| &*output.key).collect();
                keys.join(" ")
            }
            Mirrored::Nearly(problem) => format!("near: {}", problem.notes.join("; ")),
            Mirrored::Unrelated => "unrelated".to_owned(),
        }
    }

    #[test]
    fn a_mirror_follows_whole_in_part_and_below_a_prefix() {
        let rules = "rename m.a.* -> m.c.*\nsplit m.c.w -> m.c.{x,y} dim 0";
        assert_eq!(beside(rules, &["m.a.w 4", "m.a.b 2", "m.n.mean 2"]), "m.c.x m.c.y m.c.b m.n.mean");
        assert_eq!(beside(rules, &["m.a.w 4", "m.a.b 2"]), "m.c.x m.c.y m.c.b");
        assert_eq!(beside(rules, &["n 0", "p.m.a.w 4", "p.m.a.b 2"]), "n p.m.c.x p.m.c.y p.m.c.b");
        assert_eq!(beside(rules, &["a.w 4", "a.b 2", "n.mean 2"]), "c.x c.y c.b n.mean");
    }

    #[test]
    fn what_cannot_follow_whole_stays() {
        let rules = "merge m.a.w, m.a.b -> m.c dim 0";
        assert_eq!(beside(rules, &["m.a.w 4", "m.n.mean 2"]), "near: it lacks tensors that `m.c` is made of");
        assert_eq!(
            beside(rules, &["m.a.w 4", "m.a.b 2", "m.a.z 1"]),
            "near: it has other keys, or other shapes:\n  m.a.z"
        );
        assert_eq!(
            beside(rules, &["m.a.w 5", "m.a.b 2", "m.n.mean 2"]),
            "near: it has other keys, or other shapes:\n  m.a.w"
        );
        assert_eq!(beside(rules, &["x 4", "y 2"]), "unrelated");
        let fill = "fill m.n.mean -> m.n.var value 1";
        assert_eq!(beside(fill, &["m.a.w 4", "m.a.b 2", "m.n.mean 2"]), "m.a.w m.a.b m.n.mean m.n.var");
        let why = "near: it lacks keys, and nothing says whether `m.n.var` belongs to it";
        assert_eq!(beside(fill, &["m.a.w 4", "m.a.b 2"]), why);
        let prefix = "rename m.** -> **";
        let why = "near: `a.w` does not begin with `m.` any more";
        assert_eq!(beside(prefix, &["a.w 4", "a.b 2"]), why);
    }
}
