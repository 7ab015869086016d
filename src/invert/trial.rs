//! Whether a line does what it should: it is run over the keys by the planner itself.

use std::collections::HashMap;

use super::act::Act;
use super::line::Line;
use crate::keyset::{Key, KeySet};
use crate::plan;
use crate::rules::{self, Given, Matcher, RuleSet, Step};
use crate::source::Sources;
use crate::syntax;

/// What stands before the new names while a line is tried, so that they meet no key that another line of
/// the block takes away.
const BELOW: &str = "\"<-\".";

/// How many lines are tried for one statement; what is then left is written key by key.
const MAX_TRIES: usize = 20_000;

/// The acts of one verb against which lines are tried.
pub(super) struct Trial<'a> {
    verb: &'static str,
    acts: &'a [&'a Act],
    /// The keys that patterns are run over.
    keys: &'a KeySet,
    /// For each key the act that matches it. A key that several acts match is not said by one pattern.
    by_key: HashMap<&'a str, usize>,
    /// For each new key the act that makes it, and its place there.
    by_result: HashMap<&'a str, (usize, usize)>,
    tries: usize,
}

/// A rule file of one text.
pub(super) struct Read {
    pub rules: RuleSet,
    pub sources: Sources,
}

/// Reads rules that must be without error and without warning.
pub(super) fn read(text: &str) -> Option<Read> {
    let mut sources = Sources::new();
    let file = sources.add("the way back", text);
    let (ast, errors) = syntax::parse(text, file);
    let resolved = rules::resolve(&ast, &sources, &Given::default());
    let sound = errors.is_empty() && resolved.errors.is_empty() && resolved.warnings.is_empty();
    sound.then_some(Read { rules: resolved.rules, sources })
}

impl<'a> Trial<'a> {
    /// A trial of lines for `acts`, all of `verb`; `keys` are those that the patterns meet.
    pub fn new(verb: &'static str, acts: &'a [&'a Act], keys: &'a KeySet) -> Trial<'a> {
        let mut by_key = HashMap::new();
        let mut by_result = HashMap::new();
        for (index, act) in acts.iter().enumerate() {
            // What is made from nothing is named by its own pattern.
            let matched: Vec<&Key> = match act.from.is_empty() {
                true => act.results().collect(),
                false => act.from.iter().collect(),
            };
            by_key.extend(matched.into_iter().map(|key| (&**key, index)));
            by_result.extend(act.results().enumerate().map(|(place, key)| (&**key, (index, place))));
        }
        Trial { verb, acts, keys, by_key, by_result, tries: 0 }
    }

    /// The acts that a line does, or `None` where it does anything else, or one of those that are `done`.
    pub fn covers(&mut self, line: &Line, done: &[bool]) -> Option<Vec<usize>> {
        self.tries += 1;
        if self.tries > MAX_TRIES {
            return None;
        }
        let read = read(&format!("{} {}", self.verb, line.text(BELOW)))?;
        let [Step::Statement(statement)] = read.rules.steps.as_slice() else { return None };
        let [clause] = statement.clauses.as_slice() else { return None };
        let (mut matched, mut acts) = (KeySet::new(""), Vec::new());
        for pattern in &clause.patterns {
            let matcher = Matcher::new(pattern);
            let mut take = |key: &Key| {
                let act = *self.by_key.get(&**key)?;
                if done.get(act).copied().unwrap_or(true) {
                    return None;
                }
                if let Some((key, info)) = self.keys.keys.get_key_value(key) {
                    matched.keys.insert(key.clone(), info.clone());
                }
                acts.push(act);
                Some(())
            };
            match matcher.literal() {
                Some(literal) => take(&Key::from(literal))?,
                None => {
                    for (key, _) in self.keys.iter().filter(|(key, _)| matcher.is_match(key)) {
                        take(key)?;
                    }
                }
            }
        }
        acts.sort_unstable();
        acts.dedup();
        if matches!(self.verb, "leave" | "fill") {
            return Some(acts);
        }
        self.does(&read, matched, &acts).then_some(acts)
    }

    /// Which acts are done where all but these are.
    pub fn all_but(&self, open: &[usize]) -> Vec<bool> {
        let mut done = vec![true; self.acts.len()];
        for &act in open {
            if let Some(done) = done.get_mut(act) {
                *done = false;
            }
        }
        done
    }

    /// Whether the planner does these acts, whole, and nothing else.
    fn does(&self, read: &Read, matched: KeySet, acts: &[usize]) -> bool {
        let Some(plan) = plan::plan(&read.rules, &read.sources, matched, None).plan else { return false };
        let [applied] = plan.applied() else { return false };
        let mut wanted: usize =
            acts.iter().filter_map(|&act| self.acts.get(act)).map(|act| act.to.len()).sum();
        for moved in &applied.moves {
            let key = moved.to.strip_prefix("<-.").unwrap_or(&moved.to);
            let Some(&(act, place)) = self.by_result.get(key) else { return false };
            let Some(act) = acts.contains(&act).then(|| self.acts.get(act)).flatten() else { return false };
            let spec = plan.arena().spec(moved.expr);
            let same = act.from == *moved.from && act.to.get(place).is_some_and(|(_, wanted)| wanted == spec);
            if !same || wanted == 0 {
                return false;
            }
            wanted -= 1;
        }
        wanted == 0
    }
}
