//! Which keys a clause matches, and how: patterns, `except`, `where`, and the two-ways check.

use super::problem::{Problem, ProblemKind};
use super::scope::{OfMatch, Outer};
use super::state::EntryId;
use super::suggest;
use crate::keyset::fold;
use crate::rules::value::truth;
use crate::rules::{Clause, Match, Matcher, Pattern, RenderError};
use crate::tensor::TensorSpec;

/// A key that a clause matches.
pub(super) struct Hit {
    pub entry: EntryId,
    /// Which of the clause's patterns.
    pub pattern: usize,
    pub way: Match,
    /// The names that the templates give; empty where an index decides over them later.
    pub names: Vec<String>,
}

/// Something with a key that patterns can be run over.
pub(super) struct Candidate<'a> {
    pub id: EntryId,
    pub key: &'a str,
    pub spec: &'a TensorSpec,
}

/// How a clause is matched.
pub(super) struct Matching<'a> {
    pub clause: &'a Clause,
    /// The clause's patterns with the values of `let` names.
    pub patterns: &'a [Pattern],
    pub outer: &'a Outer<'a>,
    pub optional: bool,
    /// Whether `where` filters; an assertion tests it instead.
    pub filter: bool,
    /// Whether templates can be rendered from a match alone.
    pub render: bool,
}

impl Matching<'_> {
    /// Runs the clause over the keys.
    pub fn run(&self, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> Vec<Hit> {
        let except: Vec<Pattern> = self
            .clause
            .except
            .iter()
            .map(|pattern| pattern.with_values(&|name| self.outer.text(name)))
            .collect();
        let except: Vec<Matcher> = except.iter().map(Matcher::new).collect();
        let mut except_used = vec![false; except.len()];
        let mut hits = Vec::new();
        for (index, pattern) in self.patterns.iter().enumerate() {
            let matcher = Matcher::new(pattern);
            let mut tally = Tally::new(pattern);
            let found = hits.len();
            let outer = self.outer;
            let mut try_key = |id: EntryId| {
                let entry = outer.state.entry(id);
                let candidate = Candidate { id, key: &entry.key, spec: outer.arena.spec(entry.expr) };
                let ways = match matcher.ways(candidate.key) {
                    Ok(ways) if ways.is_empty() => return,
                    Ok(ways) => ways,
                    Err(_) => {
                        let kind = ProblemKind::TooManyWays { key: candidate.key.to_owned() };
                        problems.push(Problem::new(kind, pattern.span));
                        return;
                    }
                };
                tally.matched.push(candidate.id);
                let mut taken_out = false;
                for (except, used) in except.iter().zip(&mut except_used) {
                    if except.is_match(candidate.key) {
                        (*used, taken_out) = (true, true);
                    }
                }
                if taken_out {
                    return;
                }
                tally.past_except += 1;
                match self.pick(index, &candidate, ways, &mut tally) {
                    Ok(hit) => hits.extend(hit),
                    Err(problem) => problems.push(*problem),
                }
            };
            outer.state.candidates(pattern).into_iter().for_each(&mut try_key);
            if !self.optional {
                self.judge(pattern, &tally, hits.len() - found, problems);
                warnings.extend(tally.unused_alternatives(pattern));
            }
        }
        if !self.optional {
            for (except, used) in self.clause.except.iter().zip(except_used) {
                if !used {
                    let kind = ProblemKind::ExceptUnmatched { pattern: except.text.clone() };
                    let problem = Problem::new(kind, except.span);
                    problems.push(suggest::nearest_keys(problem, &except.text, self.outer.state));
                }
            }
        }
        hits
    }

    /// Applies `where` to the ways in which a key matches, and takes the one way that is left.
    fn pick(
        &self,
        index: usize,
        candidate: &Candidate,
        ways: Vec<Match>,
        tally: &mut Tally,
    ) -> Result<Option<Hit>, Box<Problem>> {
        let pattern = &self.patterns[index];
        let mut picked: Option<Hit> = None;
        for way in ways {
            let scope = OfMatch { outer: self.outer, pattern, way: &way, spec: candidate.spec, index: None };
            if let Some(condition) = &self.clause.condition
                && self.filter
                && !truth(condition, &scope).map_err(|error| value_problem(candidate.key, error))?
            {
                continue;
            }
            let mut names = Vec::new();
            if self.render {
                for template in &self.clause.templates {
                    let name = template.render(pattern, &way, &scope);
                    names.push(name.map_err(|error| render_problem(candidate.key, error, template.span))?);
                }
            }
            match &picked {
                None => {
                    tally.take(&way);
                    picked = Some(Hit { entry: candidate.id, pattern: index, way, names });
                }
                Some(first) if first.names != names => {
                    let show = |names: &[String]| names.join("`, `");
                    let kind = ProblemKind::Ambiguous {
                        key: candidate.key.to_owned(),
                        first: show(&first.names),
                        second: show(&names),
                    };
                    let problem = Problem::new(kind, pattern.span).help(
                        "write more of the key around the wildcards, so that they can match in one way",
                    );
                    return Err(Box::new(problem));
                }
                Some(_) => {}
            }
        }
        Ok(picked)
    }

    /// Whether a problem has told already why nothing is left of a pattern's matches.
    fn is_about(&self, problem: &Problem, pattern: &Pattern) -> bool {
        let condition = self.clause.condition.as_ref().map(|condition| condition.span);
        problem.span.is_some_and(|span| {
            span == pattern.span || condition.is_some_and(|condition| condition.to(span) == condition)
        })
    }

    /// Reports a pattern that matches nothing, or of whose matches nothing is left.
    fn judge(&self, pattern: &Pattern, tally: &Tally, hits: usize, problems: &mut Vec<Problem>) {
        let state = self.outer.state;
        if tally.matched.is_empty() {
            let kind = ProblemKind::Unmatched { pattern: pattern.text.clone() };
            let mut problem = suggest::unmatched(Problem::new(kind, pattern.span), pattern, self.outer);
            // Where a list is short for several patterns, alternatives may be what is meant.
            if self.clause.templates.is_empty() && self.clause.assigned.is_none() {
                problem.helps.extend(suggest::one_of(self.outer.sources.slice(pattern.span)));
            }
            problems.push(problem);
        } else if hits == 0 && !problems.iter().any(|problem| self.is_about(problem, pattern)) {
            let keys = tally.matched.iter().map(|&id| &*state.entry(id).key);
            let folded: Vec<String> =
                fold(keys).into_iter().map(|fold| format!("`{}`", fold.pattern)).collect();
            let by_where = tally.past_except > 0;
            if by_where && self.clause.condition.is_none() {
                return; // another problem of these keys has been reported
            }
            let kind =
                ProblemKind::AllTakenOut { pattern: pattern.text.clone(), keys: folded.join(", "), by_where };
            problems.push(
                Problem::new(kind, pattern.span).help("a `?` behind the verb says that no match is fine"),
            );
        }
    }
}

/// What a pattern met on its way over the keys.
struct Tally {
    matched: Vec<EntryId>,
    past_except: usize,
    /// For each slot of alternatives, which were taken.
    taken: Vec<Vec<bool>>,
}

impl Tally {
    fn new(pattern: &Pattern) -> Self {
        let taken = pattern.slots.iter().map(|slot| match &slot.kind {
            crate::rules::SlotKind::Choice { texts } => vec![false; texts.len()],
            _ => Vec::new(),
        });
        Tally { matched: Vec::new(), past_except: 0, taken: taken.collect() }
    }

    fn take(&mut self, way: &Match) {
        for (capture, taken) in way.captures.iter().zip(&mut self.taken) {
            if let Some(flag) = capture.choice.and_then(|choice| taken.get_mut(choice)) {
                *flag = true;
            }
        }
    }

    /// Warnings for alternatives that no key took. An empty alternative beside them says that they
    /// are optional, and a pattern that matches nothing at all is reported as such.
    fn unused_alternatives(&self, pattern: &Pattern) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (slot, taken) in pattern.slots.iter().zip(&self.taken) {
            let crate::rules::SlotKind::Choice { texts } = &slot.kind else { continue };
            if texts.iter().any(String::is_empty) || !taken.contains(&true) {
                continue;
            }
            for (text, _) in texts.iter().zip(taken).filter(|(_, taken)| !**taken) {
                let kind = ProblemKind::UnusedAlternative { alternative: text.clone() };
                problems.push(Problem::new(kind, slot.span));
            }
        }
        problems
    }
}

/// A value that cannot be computed for a key.
pub(super) fn value_problem(key: &str, error: crate::rules::value::ValueError) -> Box<Problem> {
    let help = error.kind.help();
    let kind = ProblemKind::Value { key: Some(key.to_owned()), error: error.kind };
    let problem = Problem::new(kind, error.span);
    Box::new(match help {
        Some(help) => problem.help(help),
        None => problem,
    })
}

/// A template that gives a key no name.
pub(super) fn render_problem(key: &str, error: RenderError, span: crate::source::Span) -> Box<Problem> {
    let key = key.to_owned();
    match error {
        RenderError::Value(error) => value_problem(&key, error),
        RenderError::Negative { value, span } => {
            let problem = Problem::new(ProblemKind::NegativeIndex { key, value }, span);
            Box::new(problem.help("an index runs from 0: narrow the pattern to a range, such as `{i:1..11}`"))
        }
        RenderError::Empty => Box::new(Problem::new(ProblemKind::EmptyName { key }, span)),
    }
}
