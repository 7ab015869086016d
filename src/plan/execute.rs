//! Symbolic execution: statements run over keys and specs, top to bottom.

use std::collections::{HashMap, HashSet};

use super::arena::{Arena, ExprId};
use super::hits::{Hit, Matching, render_problem, value_problem};
use super::join::{self, Group};
use super::problem::{Problem, ProblemKind};
use super::scope::{OfMatch, Outer, no_spec};
use super::state::{Change, Entry, EntryId, State};
use super::target::Wanted;
use super::{Applied, Assertion, AssertionKind, Move, suggest};
use crate::keyset::{Key, KeySet, fold};
use crate::rules::dim_of;
use crate::rules::formula::Formula;
use crate::rules::op::OpError;
use crate::rules::value::{Value, ValueError, ValueErrorKind, evaluate, integer, real_number, truth};
use crate::rules::verbs::{Call, Flow};
use crate::rules::{Clause, Let, Match, OptionKind, Options, Pattern, RuleSet, Statement, Step, Template};
use crate::source::{Sources, Span};
use crate::syntax::ast;
use crate::tensor::TensorSpec;

/// No tensor has more parts than a header has room for; a larger number is a slip.
const MAX_PARTS: i64 = 1_000_000;

/// The state of a plan in the making.
pub(super) struct Planner<'a> {
    pub sources: &'a Sources,
    pub target: Option<&'a KeySet>,
    pub arena: Arena,
    pub state: State,
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

/// A key that a statement makes.
struct Product {
    key: String,
    expr: ExprId,
    parents: Vec<EntryId>,
    span: Span,
    chosen: Vec<usize>,
}

/// What the clauses of one statement do, gathered before any of it is done.
#[derive(Default)]
struct Gathered {
    /// Which clause claimed a key.
    claimed: HashMap<EntryId, Span>,
    removed: Vec<EntryId>,
    kept: HashSet<EntryId>,
    products: Vec<Product>,
    matched: usize,
}

impl<'a> Planner<'a> {
    pub fn new(source: &KeySet, target: Option<&'a KeySet>, sources: &'a Sources) -> Self {
        let mut arena = Arena::default();
        let mut state = State::default();
        for (index, (key, info)) in source.iter().enumerate() {
            let expr = arena.add_source(index, info.spec.clone());
            state.push(Entry { key: key.clone(), expr, parents: Vec::new(), statement: None });
        }
        Planner {
            sources,
            target,
            arena,
            state,
            lets: HashMap::new(),
            broken: HashSet::new(),
            applied: Vec::new(),
            assertions: Vec::new(),
            leave: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Runs the statements. A `let` without a value ends the run: what follows stands on it.
    pub fn run(&mut self, rules: &RuleSet) {
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

    pub(super) fn outer<'s>(&'s self, prefix: Option<&'s crate::syntax::ast::Glob>) -> Outer<'s> {
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
                let alone = flow == Flow::Compute;
                for group in join::group(clause, patterns, &hits, &self.state, alone, &mut self.problems) {
                    self.join(statement, clause, patterns, &hits, group, gathered);
                }
            }
            _ => {
                for hit in &hits {
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
        hit: &Hit,
        gathered: &mut Gathered,
    ) -> Result<(), Box<Problem>> {
        let flow = statement.verb.flow;
        let entry = self.state.entry(hit.entry).clone();
        let spec = self.arena.spec(entry.expr).clone();
        let options = self.options(clause, pattern, &hit.way, &entry.key, &spec)?;
        let names = match &clause.over {
            Some(over) if matches!(flow, Flow::Part | Flow::Add) => {
                self.names_over(clause, pattern, hit, over, &options)?
            }
            _ if clause.templates.is_empty() => vec![entry.key.to_string()],
            _ => hit.names.clone(),
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
            inputs: &[(&entry.key, &spec)],
            outputs: names.len(),
            options: &options,
            formula: None,
            output: None,
            any_dtype: clause.any_dtype,
        };
        let exprs = self.build(statement, &call, &[entry.expr], clause.span)?;
        for (key, expr) in names.into_iter().zip(exprs) {
            let (parents, span, chosen) = (vec![hit.entry], clause.span, chosen(clause, hit));
            gathered.products.push(Product { key, expr, parents, span, chosen });
        }
        Ok(())
    }

    /// The names that templates give while `over` runs its index.
    fn names_over(
        &self,
        clause: &Clause,
        pattern: &Pattern,
        hit: &Hit,
        over: &str,
        options: &Options,
    ) -> Result<Vec<String>, Box<Problem>> {
        let entry = self.state.entry(hit.entry);
        let (outer, spec) = (self.outer(clause.prefix.as_ref()), self.arena.spec(entry.expr));
        let range = clause.templates.iter().find_map(|template| template.range(over));
        let (first, count) = match (options.int("into"), range) {
            // Without a count, the index runs over the layers of the dim.
            (None, None) => {
                let dim = options.int("dim").and_then(|dim| dim_of(dim, &spec.shape).ok());
                (0, dim.and_then(|dim| i64::try_from(spec.shape[dim]).ok()).unwrap_or(0))
            }
            (Some(count), None) => (0, count),
            (into, Some(range @ (first, last))) => {
                let count = last.saturating_sub(first).saturating_add(1);
                let (first, count) =
                    (i64::try_from(first).unwrap_or(i64::MAX), i64::try_from(count).unwrap_or(i64::MAX));
                if into.is_some_and(|into| into != count) {
                    let kind = ProblemKind::PartsDisagree {
                        into: into.unwrap_or(0),
                        range: format!("{{{over}:{}..{}}}", range.0, range.1),
                        count,
                    };
                    return Err(Box::new(Problem::new(kind, clause.span).help("leave `into` out")));
                }
                (first, count)
            }
        };
        if !(1..=MAX_PARTS).contains(&count) {
            let problem = Problem::new(ProblemKind::Parts { value: count }, clause.span);
            return Err(Box::new(problem.help(format!("parts are 1 to {MAX_PARTS}"))));
        }
        let mut names = Vec::new();
        for index in first..first.saturating_add(count) {
            let scope = OfMatch { outer: &outer, pattern, way: &hit.way, spec, index: Some((over, index)) };
            for template in &clause.templates {
                let name = template.render(pattern, &hit.way, &scope);
                names.push(name.map_err(|error| render_problem(&entry.key, error, template.span))?);
            }
        }
        Ok(names)
    }

    /// Joins the tensors of one group.
    fn join(
        &mut self,
        statement: &Statement,
        clause: &Clause,
        patterns: &[Pattern],
        hits: &[Hit],
        group: Group,
        gathered: &mut Gathered,
    ) {
        let members: Vec<&Hit> = group.members.iter().map(|&member| &hits[member]).collect();
        gathered.removed.extend(members.iter().map(|hit| hit.entry));
        let entries: Vec<Entry> = members.iter().map(|hit| self.state.entry(hit.entry).clone()).collect();
        let Some((first, hit)) = entries.first().zip(members.first()) else { return };
        let specs: Vec<TensorSpec> =
            entries.iter().map(|entry| self.arena.spec(entry.expr).clone()).collect();
        let built = self.options(clause, &patterns[hit.pattern], &hit.way, &first.key, &specs[0]);
        let built = built.and_then(|options| {
            let inputs: Vec<(&str, &TensorSpec)> =
                entries.iter().map(|entry| &*entry.key).zip(&specs).collect();
            let exprs: Vec<ExprId> = entries.iter().map(|entry| entry.expr).collect();
            let formula = self.formula(clause, patterns, hit, &specs[0])?;
            let (any_dtype, formula, output) = (clause.any_dtype, formula.as_ref(), Some(&*group.name));
            let call = Call { inputs: &inputs, outputs: 1, options: &options, formula, output, any_dtype };
            self.build(statement, &call, &exprs, clause.span)
        });
        match built {
            Err(problem) => self.problems.push(*problem),
            Ok(exprs) => {
                if statement.verb.flow == Flow::Unify {
                    for entry in entries.iter().skip(1) {
                        self.must_equal(first, entry, clause.span);
                    }
                }
                let parents: Vec<EntryId> = members.iter().map(|hit| hit.entry).collect();
                for expr in exprs {
                    let (key, parents) = (group.name.clone(), parents.clone());
                    let (span, chosen) = (clause.span, Vec::new());
                    gathered.products.push(Product { key, expr, parents, span, chosen });
                }
            }
        }
    }

    /// The expression of `compute`, with the values of `let` names put in.
    fn formula(
        &self,
        clause: &Clause,
        patterns: &[Pattern],
        hit: &Hit,
        spec: &TensorSpec,
    ) -> Result<Option<Formula>, Box<Problem>> {
        let Some(assigned) = &clause.assigned else { return Ok(None) };
        let outer = self.outer(clause.prefix.as_ref());
        let scope =
            OfMatch { outer: &outer, pattern: &patterns[hit.pattern], way: &hit.way, spec, index: None };
        let text = |span| self.sources.slice(span);
        let operand =
            |glob: &ast::Glob| patterns.iter().position(|pattern| text(pattern.span) == text(glob.span));
        let formula = Formula::new(assigned, &operand, &scope);
        formula.map(Some).map_err(|error| value_problem(&self.state.entry(hit.entry).key, error))
    }

    /// Gives a tensor other names; a name that exists must hold equal bytes, and gives its storage up.
    fn tie(&mut self, clause: &Clause, hit: &Hit, gathered: &mut Gathered) {
        let entry = self.state.entry(hit.entry).clone();
        for name in &hit.names {
            let holder = self.state.find(name).filter(|&holder| holder != hit.entry);
            let mut parents = vec![hit.entry];
            if let Some(holder) = holder {
                let other = self.state.entry(holder).clone();
                let (spec, other_spec) = (self.arena.spec(entry.expr), self.arena.spec(other.expr));
                if spec != other_spec {
                    let error = OpError::Unequal {
                        first: entry.key.to_string(),
                        first_spec: spec.clone(),
                        second: other.key.to_string(),
                        second_spec: other_spec.clone(),
                    };
                    self.problems.push(Problem::new(ProblemKind::Op { key: None, error }, clause.span));
                    continue;
                }
                self.must_equal(&entry, &other, clause.span);
                gathered.removed.push(holder);
                parents = vec![holder, hit.entry];
            }
            let (key, span, chosen) = (name.clone(), clause.span, chosen(clause, hit));
            gathered.products.push(Product { key, expr: entry.expr, parents, span, chosen });
        }
    }

    /// Notes that two tensors must hold equal bytes.
    fn must_equal(&mut self, first: &Entry, second: &Entry, span: Span) {
        let kind = AssertionKind::Equal { other: second.key.clone(), other_expr: second.expr };
        self.assertions.push(Assertion { key: first.key.clone(), expr: first.expr, kind, span });
    }

    /// The values of a clause's options for one match.
    fn options(
        &self,
        clause: &Clause,
        pattern: &Pattern,
        way: &Match,
        key: &str,
        spec: &TensorSpec,
    ) -> Result<Options, Box<Problem>> {
        let outer = self.outer(clause.prefix.as_ref());
        let scope = OfMatch { outer: &outer, pattern, way, spec, index: None };
        let mut options = Options::default();
        for (row, written) in &clause.options {
            let expr = match written {
                ast::Value::Expr(expr) => expr,
                ast::Value::Bindings(bindings) => {
                    let sizes = bindings.iter().map(|(name, expr)| {
                        let size = integer(expr, &scope).map_err(|error| value_problem(key, error))?;
                        Ok((name.node.clone(), size))
                    });
                    let sizes = sizes.collect::<Result<_, Box<Problem>>>()?;
                    options.0.push((row.name, Value::Bindings(sizes)));
                    continue;
                }
            };
            let value = match row.kind {
                OptionKind::Real => real_number(expr, &scope).map(Value::Float),
                _ => evaluate(expr, &scope),
            };
            let value = value.map_err(|error| value_problem(key, error))?;
            if !row.kind.accepts(&value) {
                let kind = ProblemKind::OptionValue {
                    option: row.name,
                    takes: row.kind.takes(),
                    value: value.to_string(),
                };
                return Err(Box::new(Problem::new(kind, expr.span)));
            }
            options.0.push((row.name, value));
        }
        Ok(options)
    }

    /// Builds a verb's results into the arena.
    fn build(
        &mut self,
        statement: &Statement,
        call: &Call,
        operands: &[ExprId],
        span: Span,
    ) -> Result<Vec<ExprId>, Box<Problem>> {
        let key = call.inputs.first().map(|(key, _)| (*key).to_owned());
        let problem = |error: OpError| {
            let help = error.help();
            let key = if error.names_keys() { None } else { key.clone() };
            let mut problem = Problem::new(ProblemKind::Op { key, error }, span);
            problem.helps.extend(help);
            Box::new(problem)
        };
        let terms = (statement.verb.build)(call).map_err(problem)?;
        terms.iter().map(|term| self.arena.add_term(term, operands).map_err(problem)).collect()
    }

    /// `fill` without `->`: the patterns range over the keys that the target has and the state lacks.
    fn fill_missing(
        &mut self,
        statement: &Statement,
        clause: &Clause,
        patterns: &[Pattern],
        gathered: &mut Gathered,
    ) {
        for (index, pattern) in patterns.iter().enumerate() {
            let candidates: Vec<(Key, TensorSpec)> = match (self.target, pattern.literal()) {
                (Some(target), _) => super::target::missing(target, &self.state),
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
                    let inputs = if self.target.is_some() { &inputs[..] } else { &[] };
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
                            let (parents, chosen) = (Vec::new(), Vec::new());
                            gathered.products.push(Product { key, expr, parents, span, chosen });
                        }
                    }
                }
            }
        }
    }

    /// `assert`: the condition must hold for each match; a value is checked while applying.
    fn check(&mut self, clause: &Clause, patterns: &[Pattern], hits: &[Hit]) {
        let mut failed: Vec<EntryId> = Vec::new();
        for hit in hits {
            let entry = self.state.entry(hit.entry).clone();
            let spec = self.arena.spec(entry.expr).clone();
            let pattern = &patterns[hit.pattern];
            if let Some(condition) = &clause.condition {
                let outer = self.outer(clause.prefix.as_ref());
                let scope = OfMatch { outer: &outer, pattern, way: &hit.way, spec: &spec, index: None };
                match truth(condition, &scope) {
                    Ok(true) => {}
                    Ok(false) => failed.push(hit.entry),
                    Err(error) => self.problems.push(*value_problem(&entry.key, error)),
                }
            }
            match self.options(clause, pattern, &hit.way, &entry.key, &spec) {
                Err(problem) => self.problems.push(*problem),
                Ok(options) => {
                    if let Some(value) = options.get("value").and_then(crate::rules::value::real) {
                        let (key, expr, span) = (entry.key.clone(), entry.expr, clause.span);
                        self.assertions.push(Assertion {
                            key,
                            expr,
                            kind: AssertionKind::Value(value),
                            span,
                        });
                    }
                }
            }
        }
        if !failed.is_empty() {
            let keys = failed.iter().map(|&id| &*self.state.entry(id).key);
            let folded: Vec<String> =
                fold(keys).into_iter().map(|fold| format!("`{}`", fold.pattern)).collect();
            let kind = ProblemKind::Assertion { keys: folded.join(", ") };
            let first = self.state.entry(failed[0]);
            let fact = format!("`{}` is {}", first.key, self.arena.spec(first.expr));
            let span = clause.condition.as_ref().map_or(clause.span, |condition| condition.span);
            self.problems.push(Problem::new(kind, span).note(fact));
        }
    }

    /// Checks that the products' names are free, and does what the statement does.
    fn finish(&mut self, statement: &Statement, mut gathered: Gathered) {
        if statement.verb.flow == Flow::Keep {
            let kept = &gathered.kept;
            let renamed: HashSet<EntryId> =
                gathered.products.iter().flat_map(|product| product.parents.iter().copied()).collect();
            let gone = self.state.iter().map(|(id, _)| id);
            gathered.removed = gone.filter(|id| !kept.contains(id) || renamed.contains(id)).collect();
        }
        let removed: HashSet<EntryId> = gathered.removed.iter().copied().collect();
        let number = self.applied.len();
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut moves = Vec::new();
        let mut added: Vec<(Entry, Option<EntryId>)> = Vec::new();
        let mut products = Vec::with_capacity(gathered.products.len());
        for product in std::mem::take(&mut gathered.products) {
            match names.get(&product.key) {
                Some(&first) => {
                    let problem = self.two_to_one(statement, &products, first, &product);
                    self.problems.push(problem);
                    continue;
                }
                None => {
                    names.insert(product.key.clone(), products.len());
                }
            }
            let holder = self.state.find(&product.key).filter(|holder| !removed.contains(holder));
            if let Some(holder) = holder {
                let problem = self.occupied(&product, holder);
                self.problems.push(problem);
                products.push(product);
                continue;
            }
            let from: Vec<Key> = product.parents.iter().map(|&id| self.state.entry(id).key.clone()).collect();
            let key = Key::from(product.key.as_str());
            moves.push(Move { from, to: key.clone(), expr: product.expr, chosen: product.chosen.clone() });
            let place = product.parents.first().copied();
            let (expr, parents) = (product.expr, product.parents.clone());
            added.push((Entry { key, expr, parents, statement: Some(number) }, place));
            products.push(product);
        }
        let used: HashSet<EntryId> =
            products.iter().flat_map(|product| product.parents.iter().copied()).collect();
        let gone = gathered.removed.iter().filter(|id| !used.contains(id));
        let dropped = if matches!(statement.verb.flow, Flow::Remove | Flow::Keep) {
            gone.map(|&id| self.state.entry(id).key.clone()).collect()
        } else {
            Vec::new()
        };
        self.applied.push(Applied {
            verb: statement.verb,
            span: statement.span,
            clauses: statement.clauses.iter().map(|clause| clause.span).collect(),
            matched: gathered.matched,
            moves,
            dropped,
        });
        gathered.removed.sort_unstable();
        gathered.removed.dedup();
        self.state.apply(Change { removed: gathered.removed, added });
    }

    fn two_to_one(
        &self,
        statement: &Statement,
        products: &[Product],
        first: usize,
        second: &Product,
    ) -> Problem {
        let from = |product: &Product| {
            let parent = product.parents.first().map(|&id| self.state.entry(id).key.to_string());
            parent.unwrap_or_else(|| product.key.clone())
        };
        let name = second.key.clone();
        let Some(other) = products.get(first) else {
            return Problem::new(ProblemKind::EmptyName { key: name }, second.span);
        };
        let kind = ProblemKind::TwoToOne { name, first: from(other), second: from(second) };
        let mut problem = Problem::new(kind, second.span);
        if other.span != second.span {
            problem = problem.related(other.span, "the first of the two");
        }
        if matches!(statement.verb.flow, Flow::Each | Flow::Keep) {
            problem =
                problem.help("put what tells the two apart into the new name, or `drop` one of them before");
        }
        problem
    }

    fn occupied(&self, product: &Product, holder: EntryId) -> Problem {
        let holder = self.state.entry(holder);
        let from = product.parents.first().map(|&id| self.state.entry(id));
        let name = product.key.clone();
        let from_key = from.map_or_else(|| name.clone(), |entry| entry.key.to_string());
        let mut problem = Problem::new(ProblemKind::Occupied { name, from: from_key }, product.span);
        match holder.statement.and_then(|statement| self.applied.get(statement)) {
            Some(applied) => {
                problem = problem.related(applied.span, format!("`{}` was made here", holder.key))
            }
            None => {
                problem = problem
                    .note(format!("`{}` is a key of the source that no statement has touched", holder.key))
            }
        }
        for entry in from.into_iter().chain([holder]) {
            if let Some(history) = self.history(entry) {
                problem = problem.note(format!("the way it went: {history}"));
            }
        }
        problem.help("to exchange names, put both lines in one block: `rename { … }`; to lose the key that is there, `drop` it before")
    }
}

/// What of a new name was chosen by the rule and not captured by a wildcard: the line, the pattern, the
/// alternatives, and, where the name is computed, the key itself.
fn chosen(clause: &Clause, hit: &Hit) -> Vec<usize> {
    let mut chosen = vec![clause.span.start, hit.pattern];
    chosen.extend(hit.way.captures.iter().filter_map(|capture| capture.choice));
    if clause.templates.iter().any(Template::computes) {
        chosen.push(hit.entry.index());
    }
    chosen
}
