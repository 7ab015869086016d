//! Symbolic execution: statements run over keys and specs, top to bottom.

use foldhash::{HashMap, HashSet};
use smallvec::smallvec;

use super::arena::{Arena, ExprId};
use super::hits::{Hit, Matching};
use super::index::Index;
use super::join;
use super::problem::{Problem, ProblemKind};
use super::produce::{Gathered, Product, chosen};
use super::scope::Outer;
use super::state::{Entry, Parents, State};
use super::{Applied, Assertion, Stage, suggest};
use crate::keyset::{Key, KeySet};
use crate::rules::op::{OpError, Term};
use crate::rules::value::{Value, ValueError, ValueErrorKind, evaluate};
use crate::rules::verbs::{Call, Flow};
use crate::rules::{Clause, Let, Pattern, RuleSet, Statement, Step};
use crate::source::{Sources, Span};
use crate::syntax::ast::Glob;

/// The state of a plan in the making.
pub(super) struct Planner<'a> {
    pub sources: &'a Sources,
    pub target: Option<&'a KeySet>,
    /// The index of the target's keys, once a statement ranges over those that are missing.
    pub target_index: Option<Index>,
    /// Whether other dtypes than the target's will do.
    pub any_dtype: bool,
    pub arena: Arena,
    pub state: State,
    /// For each source tensor the first one that it is tied to, itself where there is none before it; those of
    /// the absent keys stand behind them.
    pub ties: Vec<usize>,
    /// Keys that a stage before left to the model, numbered behind the source's.
    pub absent: Vec<Key>,
    pub lets: HashMap<String, Value>,
    /// Names of `let` lines that have no value; what uses them is not run, for it would only repeat that.
    broken: HashSet<String>,
    pub applied: Vec<Applied>,
    pub assertions: Vec<Assertion>,
    /// Clauses of `leave`, which are about the end and judged there.
    pub leave: Vec<(Clause, bool)>,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl<'a> Planner<'a> {
    pub fn new(source: &KeySet, sources: &'a Sources) -> Self {
        let (mut arena, mut state) = (Arena::with_room(source.len()), State::with_room(source.len()));
        let mut ties = Vec::with_capacity(source.len());
        for (index, (key, info)) in source.iter().enumerate() {
            let expr = arena.add_source(index, info.spec.clone());
            state.push(Entry { key: key.clone(), expr, parents: Parents::new(), statement: None });
            let first = info.tied.as_ref().and_then(|first| source.keys.get_index_of(first));
            ties.push(first.unwrap_or(index));
        }
        Planner {
            sources,
            target: None,
            target_index: None,
            any_dtype: false,
            arena,
            state,
            ties,
            absent: Vec::new(),
            lets: HashMap::default(),
            broken: HashSet::default(),
            applied: Vec::new(),
            assertions: Vec::new(),
            leave: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Makes ready for the rules of a stage, which see nothing of the names of those before.
    pub fn begin(&mut self, stage: &Stage<'a>) {
        (self.target, self.target_index, self.any_dtype) = (stage.target, None, stage.any_dtype);
        self.lets.clear();
        self.broken.clear();
    }

    /// Runs the statements. A `let` without a value ends the run: what follows stands on it.
    pub fn run(&mut self, rules: &RuleSet) {
        self.lets.extend(rules.config.clone());
        for step in &rules.steps {
            match step {
                Step::Statement(statement) if self.broken.iter().any(|name| statement.uses(name)) => {
                    // The statements below are about keys that this one would have made.
                    return;
                }
                Step::Statement(statement) => self.statement(statement),
                Step::Let(line) if self.broken.iter().any(|name| line.uses(name)) => {
                    self.broken.insert(line.name.clone());
                }
                Step::Let(line) => self.let_line(line),
            }
        }
    }

    fn let_line(&mut self, line: &Let) {
        let outer = self.outer(line.prefix.as_ref());
        let error = match evaluate(&line.value, &outer) {
            Ok(Value::Word(name)) => {
                ValueError { kind: ValueErrorKind::UnknownName { name }, span: line.value.span }
            }
            Ok(value) => {
                self.lets.insert(line.name.clone(), value);
                return;
            }
            Err(error) => error,
        };
        let mut problem =
            Problem::new(ProblemKind::Value { key: None, error: error.kind.clone() }, error.span);
        problem.helps.extend(error.kind.help());
        if let ValueErrorKind::NoKeys { pattern } = &error.kind {
            problem = suggest::nearest_keys(problem, pattern, &self.state);
        }
        self.problems.push(problem);
        self.broken.insert(line.name.clone());
    }

    pub(super) fn outer<'s>(&'s self, prefix: Option<&'s Glob>) -> Outer<'s> {
        Outer { lets: &self.lets, state: &self.state, arena: &self.arena, sources: self.sources, prefix }
    }

    fn statement(&mut self, statement: &Statement) {
        let mut gathered = Gathered::default();
        for clause in &statement.clauses {
            let outer = self.outer(clause.prefix.as_ref());
            let patterns: Vec<Pattern> =
                clause.patterns.iter().map(|pattern| pattern.with_values(&|name| outer.text(name))).collect();
            match statement.verb.flow {
                Flow::Leave => {
                    self.leave.push((Clause { patterns, ..clause.clone() }, statement.optional));
                }
                Flow::Fill if clause.templates.is_empty() => {
                    self.fill_missing(statement, clause, &patterns, &mut gathered);
                }
                _ => self.clause(statement, clause, &patterns, &mut gathered),
            }
        }
        self.finish(statement, gathered);
    }

    fn clause(
        &mut self,
        statement: &Statement,
        clause: &Clause,
        patterns: &[Pattern],
        gathered: &mut Gathered,
    ) {
        let flow = statement.verb.flow;
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let outer = self.outer(clause.prefix.as_ref());
        let matching = Matching {
            clause,
            patterns,
            outer: &outer,
            optional: statement.optional,
            filter: flow != Flow::Check,
            render: !(matches!(flow, Flow::Part | Flow::Add) && clause.over.is_some()),
        };
        let hits = matching.run(&mut problems, &mut warnings);
        let lacking = !problems.is_empty();
        if flow == Flow::Compute {
            suggest::spaces_around_signs(&mut problems);
        }
        self.problems.append(&mut problems);
        self.warnings.append(&mut warnings);
        gathered.matched += hits.len();
        let hits = self.claim(flow, clause, hits, gathered);
        match flow {
            Flow::Remove => gathered.removed.extend(hits.iter().map(|hit| hit.entry)),
            Flow::Check => self.check(clause, patterns, &hits),
            Flow::Tie => {
                for hit in &hits {
                    self.tie(clause, hit, gathered);
                }
            }
            Flow::Join | Flow::Unify | Flow::Compute => {
                let (alone, mut broken) = (flow == Flow::Compute, Vec::new());
                for group in join::group(clause, patterns, &hits, &self.state, alone, &mut broken) {
                    self.join(statement, clause, patterns, &hits, group, gathered);
                }
                // A pattern of the list that matches nothing has been reported, and each group lacks it.
                if !lacking || clause.over.is_some() {
                    self.problems.append(&mut broken);
                }
            }
            _ => {
                gathered.products.reserve(hits.len());
                for hit in hits {
                    let pattern = &patterns[hit.pattern];
                    if let Err(problem) = self.each(statement, clause, pattern, hit, gathered) {
                        self.problems.push(*problem);
                    }
                }
            }
        }
    }

    /// Notes which keys the clause takes, and reports those that are taken already.
    fn claim(&mut self, flow: Flow, clause: &Clause, hits: Vec<Hit>, gathered: &mut Gathered) -> Vec<Hit> {
        let harmless =
            matches!(flow, Flow::Remove | Flow::Keep | Flow::Check | Flow::Add | Flow::Tie | Flow::Fill);
        let mut fresh = Vec::with_capacity(hits.len());
        for hit in hits {
            let span = clause.patterns[hit.pattern].span;
            match gathered.claimed.insert(hit.entry, span) {
                Some(_) if matches!(flow, Flow::Add | Flow::Tie | Flow::Fill) => fresh.push(hit),
                Some(_) if harmless => {}
                Some(first) => {
                    let key = self.state.entry(hit.entry).key.to_string();
                    let problem = Problem::new(ProblemKind::ClaimedTwice { key }, span)
                        .related(first, "claimed here first")
                        .help("narrow one of the two patterns, or take the key out with `except`");
                    self.problems.push(problem);
                }
                None => fresh.push(hit),
            }
        }
        fresh
    }

    /// Applies a verb to one match of one tensor.
    fn each(
        &mut self,
        statement: &Statement,
        clause: &Clause,
        pattern: &Pattern,
        mut hit: Hit,
        gathered: &mut Gathered,
    ) -> Result<(), Box<Problem>> {
        let flow = statement.verb.flow;
        let entry = self.state.entry(hit.entry);
        let (expr, spec) = (entry.expr, self.arena.spec(entry.expr));
        let options = self.options(clause, pattern, &hit.way, &entry.key, spec)?;
        let names = match &clause.over {
            Some(over) if matches!(flow, Flow::Part | Flow::Add) => {
                self.names_over(clause, pattern, &hit, over, &options)?
            }
            _ if clause.templates.is_empty() => vec![entry.key.to_string()],
            _ => std::mem::take(&mut hit.names),
        };
        match flow {
            Flow::Keep => {
                gathered.kept.insert(hit.entry);
                if clause.templates.is_empty() {
                    return Ok(());
                }
            }
            Flow::Each | Flow::Part => gathered.removed.push(hit.entry),
            _ => {}
        }
        let call = Call {
            inputs: &[(&entry.key, spec)],
            outputs: names.len(),
            options: &options,
            formula: None,
            output: None,
            any_dtype: clause.any_dtype,
        };
        let terms = self.terms(statement, &call, clause.span)?;
        let key = entry.key.clone();
        let exprs = self.add_terms(&terms, &[expr], Some(&key), clause.span)?;
        for (key, expr) in names.into_iter().zip(exprs) {
            let (parents, span, chosen) = (smallvec![hit.entry], clause.span, chosen(clause, &hit));
            let options = options.clone();
            gathered.products.push(Product { key, expr, parents, options, span, chosen });
        }
        Ok(())
    }

    /// Builds a verb's results into the arena.
    pub(super) fn build(
        &mut self,
        statement: &Statement,
        call: &Call,
        operands: &[ExprId],
        span: Span,
    ) -> Result<Vec<ExprId>, Box<Problem>> {
        let terms = self.terms(statement, call, span)?;
        self.add_terms(&terms, operands, call.inputs.first().map(|(key, _)| *key), span)
    }

    /// What a verb makes of its operands.
    fn terms(&self, statement: &Statement, call: &Call, span: Span) -> Result<Vec<Term>, Box<Problem>> {
        let key = call.inputs.first().map(|(key, _)| *key);
        (statement.verb.build)(call).map_err(|error| op_problem(key, error, span))
    }

    /// Takes what a verb makes into the arena; `key` is that of its first operand.
    fn add_terms(
        &mut self,
        terms: &[Term],
        operands: &[ExprId],
        key: Option<&str>,
        span: Span,
    ) -> Result<Vec<ExprId>, Box<Problem>> {
        let added = terms.iter().map(|term| self.arena.add_term(term, operands));
        added.collect::<Result<_, _>>().map_err(|error| op_problem(key, error, span))
    }
}

/// An operation that does not fit its operands, the first of which has the key.
fn op_problem(key: Option<&str>, error: OpError, span: Span) -> Box<Problem> {
    let help = error.help();
    let key = key.filter(|_| !error.names_keys()).map(str::to_owned);
    let mut problem = Problem::new(ProblemKind::Op { key, error }, span);
    problem.helps.extend(help);
    Box::new(problem)
}
