//! Patterns over the keys that the target has and the state lacks: `leave`, and `fill` without `->`.

use foldhash::HashSet;

use super::Choices;
use super::execute::Planner;
use super::hits::value_problem;
use super::index::Index;
use super::problem::{Problem, ProblemKind};
use super::produce::{Gathered, Product};
use super::scope::{OfMatch, no_spec};
use super::state::{Parents, State};
use crate::keyset::{Key, KeyInfo, KeySet, fold, nearest};
use crate::rules::value::truth;
use crate::rules::verbs::Call;
use crate::rules::{Clause, Match, Matcher, Options, Pattern, Statement};
use crate::tensor::TensorSpec;

/// The target's keys that can match a pattern, and maybe others, in order.
fn of_target<'t>(
    target: &'t KeySet,
    index: &Index,
    pattern: &Pattern,
) -> Box<dyn Iterator<Item = (&'t Key, &'t KeyInfo)> + 't> {
    match index.candidates(pattern, target.len()) {
        Some(numbers) => Box::new(numbers.into_iter().filter_map(|at| target.keys.get_index(at as usize))),
        None => Box::new(target.iter()),
    }
}

/// A pattern over the target's missing keys, with what its clause says of the matches.
struct Wanted<'a> {
    clause: &'a Clause,
    /// The pattern with the values of `let` names.
    pattern: &'a Pattern,
    /// Whether it is the clause's first, with which `except` is judged.
    first: bool,
    /// Whether no match is fine.
    optional: bool,
}

/// A pattern over the target's missing keys that matches none of them.
fn unmatched(pattern: &Pattern, target: Option<&KeySet>, state: &State) -> Problem {
    let problem = Problem::new(ProblemKind::TargetUnmatched { pattern: pattern.text.clone() }, pattern.span);
    let Some(target) = target.filter(|_| state.may_suggest()) else { return problem };
    let matcher = Matcher::new(pattern);
    if let Some((key, _)) = target.iter().find(|(key, _)| matcher.is_match(key)) {
        return problem.note(format!("`{key}` is a key of the target, and it is produced already"));
    }
    let missing = target.iter().map(|(key, _)| &**key).filter(|key| state.find(key).is_none());
    let near = nearest(&pattern.text, missing, 3);
    if near.is_empty() {
        return problem.note("the target has no missing key");
    }
    let near: Vec<String> = near.iter().map(|key| format!("`{key}`")).collect();
    problem.help(format!("the nearest missing keys are {}", near.join(", ")))
}

impl Planner<'_> {
    /// `fill` without `->`: the patterns range over the keys that the target has and the state lacks.
    pub(super) fn fill_missing(
        &mut self,
        statement: &Statement,
        clause: &Clause,
        patterns: &[Pattern],
        gathered: &mut Gathered,
    ) {
        for (index, pattern) in patterns.iter().enumerate() {
            let candidates: Vec<(Key, TensorSpec)> = match (self.target, pattern.literal()) {
                (Some(target), _) => self.missing(target, pattern),
                (None, Some(literal)) => vec![(Key::from(literal), no_spec())],
                (None, None) => {
                    let kind = ProblemKind::NoTarget { pattern: pattern.text.clone() };
                    let problem = Problem::new(kind, pattern.span)
                        .help("give the target, or write the keys out with `shape [...]` and `dtype ...`");
                    self.problems.push(problem);
                    continue;
                }
            };
            let wanted = Wanted { clause, pattern, first: index == 0, optional: statement.optional };
            for (key, spec, way) in self.wanted(&wanted, candidates) {
                let options = self.options(clause, pattern, &way, &key, &spec);
                let built = options.and_then(|options| {
                    let inputs = [(&*key, &spec)];
                    let is_told = |target: &KeySet| target.get(&key).is_some_and(|info| info.is_told);
                    let inputs = if self.target.is_some_and(is_told) { &inputs[..] } else { &[] };
                    let (formula, output, any_dtype) = (None, None, clause.any_dtype);
                    let call = Call { inputs, outputs: 1, options: &options, formula, output, any_dtype };
                    self.build(statement, &call, &[], clause.span)
                });
                match built {
                    Err(problem) => self.problems.push(*problem),
                    Ok(exprs) => {
                        gathered.matched += 1;
                        for expr in exprs {
                            let (key, span) = (key.to_string(), clause.span);
                            let (parents, chosen) = (Parents::new(), Choices::new());
                            let options = Options::default();
                            gathered.products.push(Product { key, expr, parents, options, span, chosen });
                        }
                    }
                }
            }
        }
    }

    /// The target keys that `leave` names.
    pub(super) fn left(&mut self, target: &KeySet) -> HashSet<Key> {
        let mut left = HashSet::default();
        for (clause, optional) in std::mem::take(&mut self.leave) {
            for (index, pattern) in clause.patterns.iter().enumerate() {
                let wanted = Wanted { clause: &clause, pattern, first: index == 0, optional };
                let missing = self.missing(target, pattern);
                let keys = self.wanted(&wanted, missing);
                left.extend(keys.into_iter().map(|(key, ..)| key));
            }
        }
        left
    }

    /// The target's keys that the state lacks and that can match a pattern, and maybe others, with their specs.
    fn missing(&mut self, target: &KeySet, pattern: &Pattern) -> Vec<(Key, TensorSpec)> {
        let state = &self.state;
        let index = self.target_index.get_or_insert_with(|| Index::of(target));
        let keys = of_target(target, index, pattern).filter(|(key, _)| state.find(key).is_none());
        keys.map(|(key, info)| (key.clone(), info.spec.clone())).collect()
    }

    /// Those of `candidates` that a pattern over missing keys takes, past `except` and `where`.
    fn wanted(
        &mut self,
        wanted: &Wanted,
        candidates: Vec<(Key, TensorSpec)>,
    ) -> Vec<(Key, TensorSpec, Match)> {
        let (pattern, clause) = (wanted.pattern, wanted.clause);
        let outer = self.outer(clause.prefix.as_ref());
        let except_patterns: Vec<Pattern> =
            clause.except.iter().map(|except| except.with_values(&|name| outer.text(name))).collect();
        let except: Vec<Matcher> = except_patterns.iter().map(Matcher::new).collect();
        let (mut problems, mut taken, mut matched) = (Vec::new(), Vec::new(), Vec::new());
        if wanted.first && !wanted.optional {
            let unused = clause.except.iter().zip(except_patterns.iter().zip(&except));
            let known = |(pattern, except): (&Pattern, &Matcher)| match self.target {
                Some(target) => match &self.target_index {
                    Some(index) => of_target(target, index, pattern).any(|(key, _)| except.is_match(key)),
                    None => target.iter().any(|(key, _)| except.is_match(key)),
                },
                None => candidates.iter().any(|(key, _)| except.is_match(key)),
            };
            let unused = unused.filter(|(_, except)| !known(*except));
            problems.extend(unused.map(|(except, _)| {
                Problem::new(ProblemKind::ExceptUnmatched { pattern: except.text.clone() }, except.span)
            }));
        }
        let matcher = Matcher::new(pattern);
        for (key, spec) in candidates {
            let ways = match matcher.ways(&key) {
                Ok(ways) if ways.is_empty() => continue,
                Ok(ways) => ways,
                Err(_) => {
                    problems
                        .push(Problem::new(ProblemKind::TooManyWays { key: key.to_string() }, pattern.span));
                    continue;
                }
            };
            matched.push(key.clone());
            if except.iter().any(|except| except.is_match(&key)) {
                continue;
            }
            for way in ways {
                let scope = OfMatch { outer: &outer, pattern, way: &way, spec: &spec, index: None };
                match clause.condition.as_ref().map_or(Ok(true), |condition| truth(condition, &scope)) {
                    Ok(false) => {}
                    Ok(true) => {
                        taken.push((key, spec, way));
                        break;
                    }
                    Err(error) => {
                        problems.push(*value_problem(&key, error));
                        break;
                    }
                }
            }
        }
        if matched.is_empty() && !wanted.optional {
            problems.push(unmatched(pattern, self.target, &self.state));
        } else if taken.is_empty() && problems.is_empty() && !wanted.optional {
            let keys: Vec<String> = fold(matched.iter().map(|key| &**key))
                .into_iter()
                .map(|fold| format!("`{}`", fold.pattern))
                .collect();
            let (pattern_text, by_where) = (pattern.text.clone(), clause.condition.is_some());
            let kind = ProblemKind::AllTakenOut { pattern: pattern_text, keys: keys.join(", "), by_where };
            problems.push(
                Problem::new(kind, pattern.span).help("a `?` behind the verb says that no match is fine"),
            );
        }
        self.problems.append(&mut problems);
        taken
    }
}
