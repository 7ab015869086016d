//! One clause: its patterns, templates and options, built as its verb takes them.

use super::{OF_THE_TENSOR, Resolver};
use crate::keyset::nearest_word;
use crate::rules::error::RuleErrorKind;
use crate::rules::lists::{self, Written};
use crate::rules::options::OptionKind;
use crate::rules::pattern::{Names, Pattern};
use crate::rules::template::Template;
use crate::rules::verbs::{Flow, Templates, Verb};
use crate::rules::{Clause, OptionRow, names};
use crate::syntax::ast::{self, Expr, ExprKind, Glob, Part, Value};
use crate::tensor::Dtype;

impl Resolver<'_> {
    pub(super) fn clause(
        &mut self,
        verb: &'static Verb,
        clause: &ast::Clause,
        prefix: Option<&Glob>,
    ) -> Option<Clause> {
        let errors = self.out.errors.len();
        match &clause.assigned {
            Some(assigned) if verb.flow != Flow::Compute => {
                self.error(RuleErrorKind::Assigned { verb: verb.name }, assigned.span);
            }
            None if verb.flow == Flow::Compute => {
                self.error(
                    RuleErrorKind::NeedsAssigned { verb: verb.name, example: verb.example },
                    clause.span,
                );
            }
            _ => {}
        }
        let (options, over) = self.options(verb, clause);
        self.shape_of_clause(verb, clause, over.as_deref());

        let mut indices: Vec<&str> = over.as_deref().into_iter().collect();
        clause.condition.iter().for_each(|condition| names::numeric(condition, &mut indices));
        options
            .iter()
            .flat_map(|(_, value)| value.exprs())
            .for_each(|expr| names::numeric(expr, &mut indices));
        for part in clause.templates.iter().filter_map(Glob::parts).flatten() {
            if let Part::Arithmetic(expr) = &part.node {
                names::numeric(expr, &mut indices);
            }
        }
        let lets = self.lets.clone();
        let is_let = |name: &str| lets.iter().any(|own| own == name);
        let is_index = |name: &str| indices.contains(&name) && !is_let(name);
        let known = Names { lets: &is_let, indices: &is_index };
        // The name that `compute` gives stands before `=`; its operands are the patterns.
        let (operands, results);
        let (matched, named) = match &clause.assigned {
            Some(assigned) if verb.flow == Flow::Compute => {
                operands = self.operands(assigned);
                results = clause.patterns.clone();
                (&operands, &results)
            }
            _ => (&clause.patterns, &clause.templates),
        };
        let patterns = self.patterns(matched, prefix, &known);
        let except = self.patterns(&clause.except, prefix, &known);
        let templates = self.templates(named, prefix);
        for part in clause.templates.iter().filter_map(Glob::parts).flatten() {
            let Part::Arithmetic(expr) = &part.node else { continue };
            let mut used = Vec::new();
            names::of(expr, &mut used);
            for (name, span) in used.into_iter().filter(|(name, _)| OF_THE_TENSOR.contains(name)) {
                if patterns.iter().any(|pattern| pattern.slot(name).is_some()) {
                    self.error(RuleErrorKind::CaptureReserved { name: name.to_owned() }, span);
                }
            }
        }
        if self.out.errors.len() > errors {
            return None;
        }
        let built = Clause {
            patterns,
            templates,
            except,
            any_dtype: clause.condition.as_ref().is_some_and(|condition| mentions(condition, "dtype")),
            condition: clause.condition.clone(),
            options,
            assigned: clause.assigned.clone(),
            over,
            prefix: prefix.cloned(),
            span: clause.span,
        };
        self.check_clause(verb, &built);
        (self.out.errors.len() == errors).then_some(built)
    }

    /// Checks that `->`, lists and `over` are as the verb takes them.
    fn shape_of_clause(&mut self, verb: &'static Verb, clause: &ast::Clause, over: Option<&str>) {
        let name = verb.name;
        let templates = &clause.templates;
        match verb.templates {
            Templates::Never if !templates.is_empty() => {
                self.error(RuleErrorKind::NoTemplate { verb: name }, templates[0].span);
            }
            Templates::Required if templates.is_empty() => {
                self.error(RuleErrorKind::NeedsTemplate { verb: name, example: verb.example }, clause.span);
            }
            _ => {}
        }
        let list = clause.patterns.iter().chain(templates).find_map(|glob| {
            let list = lists::list_of(glob)?;
            Some((glob.span, list))
        });
        let one_to_one = matches!(verb.flow, Flow::Each | Flow::Keep | Flow::Fill) && !templates.is_empty();
        match &list {
            Some((span, list)) if one_to_one => {
                let kind = RuleErrorKind::ListInRename {
                    verb: name,
                    list: list.join(","),
                    alternatives: list.join("|"),
                };
                self.error(kind, *span);
            }
            Some((span, _)) if over.is_some() => self.error(RuleErrorKind::OverAndList, *span),
            _ if (one_to_one || matches!(verb.flow, Flow::Join | Flow::Unify)) && templates.len() > 1 => {
                self.error(RuleErrorKind::OneTemplate { verb: name }, templates[1].span);
            }
            None if matches!(verb.flow, Flow::Part | Flow::Add | Flow::Tie)
                && !clause.patterns.iter().any(|glob| lists::alternatives_of(glob).is_some())
                && let Some((glob, texts)) =
                    templates.iter().find_map(|glob| Some((glob, lists::alternatives_of(glob)?))) =>
            {
                let (alternatives, list) = (texts.join("|"), texts.join(","));
                self.error(RuleErrorKind::AlternativesInParts { verb: name, alternatives, list }, glob.span);
            }
            None if verb.flow == Flow::Part && over.is_none() && templates.len() == 1 => {
                self.error(RuleErrorKind::OnePart { verb: name, example: verb.example }, templates[0].span);
            }
            _ => {}
        }
    }

    fn options(
        &mut self,
        verb: &'static Verb,
        clause: &ast::Clause,
    ) -> (Vec<(&'static OptionRow, Value)>, Option<String>) {
        let mut options: Vec<(&'static OptionRow, Value)> = Vec::new();
        let mut over = None;
        for option in &clause.options {
            let name = option.name.node.as_str();
            let Some(row) = verb.options.iter().find(|row| row.name == name) else {
                let takes: Vec<&'static str> = verb.options.iter().map(|row| row.name).collect();
                let nearest = nearest_word(name, takes.iter().copied());
                let option_name = name.to_owned();
                let kind =
                    RuleErrorKind::UnknownOption { verb: verb.name, option: option_name, nearest, takes };
                self.error(kind, option.name.span);
                continue;
            };
            if options.iter().any(|(own, _)| own.name == name) || (name == "over" && over.is_some()) {
                self.error(RuleErrorKind::OptionTwice { option: name.to_owned() }, option.name.span);
                continue;
            }
            let (takes, nearest) = (row.kind.takes(), None);
            let wrong = RuleErrorKind::OptionKind { option: row.name, takes, nearest };
            match (&option.value, row.kind) {
                (Value::Expr(Expr { kind: ExprKind::Name(name), .. }), OptionKind::Index) => {
                    over = Some(name.clone())
                }
                (Value::Bindings(_), OptionKind::Bindings) => options.push((row, option.value.clone())),
                (Value::Expr(value), kind) if fits(kind, value) => {
                    let value = kind.hyphenated(value).unwrap_or_else(|| value.clone());
                    options.push((row, Value::Expr(value)));
                }
                _ => self.error(wrong, option.name.span),
            }
        }
        for row in verb.options.iter().filter(|row| row.required) {
            let given = options.iter().any(|(own, _)| own.name == row.name);
            let wrong = clause.options.iter().any(|option| option.name.node == row.name);
            // A misspelt option is reported as such, and not as missing too.
            let misspelt = clause.options.iter().any(|option| {
                nearest_word(&option.name.node, [row.name]).is_some() && option.name.node != row.name
            });
            if !given && !wrong && !misspelt {
                let kind =
                    RuleErrorKind::MissingOption { verb: verb.name, option: row.name, example: verb.example };
                self.error(kind, clause.span);
            }
        }
        (options, over)
    }

    /// The tensors that an expression names, each once; plain words that `let` defines are numbers.
    fn operands(&mut self, assigned: &Expr) -> Vec<Glob> {
        let mut operands: Vec<Glob> = Vec::new();
        for glob in names::operands(assigned) {
            let text = |glob: &Glob| self.sources.slice(glob.span).to_owned();
            let is_let = names::plain(glob).is_some_and(|name| self.lets.contains(&name));
            let again = operands.iter().any(|other| text(other) == text(glob));
            if lists::list_of(glob).is_some() {
                self.error(RuleErrorKind::ListHere, glob.span);
            } else if !is_let && !again {
                operands.push(glob.clone());
            }
        }
        operands
    }

    pub(super) fn patterns(&mut self, globs: &[Glob], prefix: Option<&Glob>, names: &Names) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for Written { glob, text } in self.written(globs, prefix) {
            let pattern = Pattern::new(&glob, text, names);
            patterns.extend(self.ok(pattern));
        }
        patterns
    }

    fn templates(&mut self, globs: &[Glob], prefix: Option<&Glob>) -> Vec<Template> {
        let mut templates = Vec::new();
        for Written { glob, text } in self.written(globs, prefix) {
            let template = Template::new(&glob, text);
            templates.extend(self.ok(template));
        }
        templates
    }

    fn written(&mut self, globs: &[Glob], prefix: Option<&Glob>) -> Vec<Written> {
        let sources = self.sources;
        let written = globs.iter().map(|glob| lists::write_out(glob, prefix, sources));
        let written: Vec<_> = written.collect();
        written.into_iter().filter_map(|result| self.ok(result)).flatten().collect()
    }
}

/// Whether a written value can be of the kind, as far as its form shows.
fn fits(kind: OptionKind, value: &Expr) -> bool {
    use OptionKind as Kind;
    match (&value.kind, kind) {
        (_, Kind::Index | Kind::Bindings) => false,
        (ExprKind::List(_), Kind::Slices) => true,
        (ExprKind::List(items), Kind::Ints) => {
            !items.iter().any(|item| matches!(item.kind, ExprKind::Slice(..)))
        }
        (ExprKind::List(_) | ExprKind::Slice(..), _) => false,
        (ExprKind::Text(_), kind) => matches!(kind, Kind::Text | Kind::Mode),
        (ExprKind::Integer(_), kind) => matches!(kind, Kind::Int | Kind::Number | Kind::Fill | Kind::Real),
        (ExprKind::Float(_), kind) => matches!(kind, Kind::Number | Kind::Fill | Kind::Real),
        (ExprKind::Name(name), kind) if name.parse::<Dtype>().is_ok() => kind == Kind::Dtype,
        _ => true,
    }
}

/// Whether an expression uses the name.
fn mentions(expr: &Expr, name: &str) -> bool {
    let mut used = Vec::new();
    names::of(expr, &mut used);
    used.iter().any(|(own, _)| *own == name)
}
