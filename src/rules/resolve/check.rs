//! What is wrong with a clause that could be built: names that nothing gives, captures that nothing uses.

use super::{CONFIG, OF_THE_TENSOR, Resolver};
use crate::keyset::nearest_word;
use crate::rules::error::{RuleErrorKind, RuleWarning};
use crate::rules::options::OptionKind;
use crate::rules::pattern::Names;
use crate::rules::verbs::{Flow, Verb};
use crate::rules::{Clause, names};
use crate::syntax::ast::{Expr, ExprKind, Glob, Spanned};
use crate::tensor::Dtype;

impl Resolver<'_> {
    /// Checks the names of a clause whose patterns and templates are built, and how they pair.
    pub(super) fn check_clause(&mut self, verb: &'static Verb, clause: &Clause) {
        let over = clause.over.as_deref();
        let adds_index = matches!(verb.flow, Flow::Part | Flow::Add);
        for pattern in &clause.patterns {
            for template in &clause.templates {
                let pairing = template.pair(pattern);
                self.ok(pairing);
                for (name, span) in template.names() {
                    let runs = adds_index && over == Some(name);
                    if pattern.slot(name).is_none() && !runs && !self.lets.iter().any(|own| own == name) {
                        let known = pattern.slots.iter().filter_map(|slot| slot.name.clone()).collect();
                        let (name, pattern) = (name.to_owned(), pattern.text.clone());
                        self.error(RuleErrorKind::UnknownCapture { name, pattern, known }, span);
                    }
                }
            }
            if let Some(over) = over
                && matches!(verb.flow, Flow::Join | Flow::Unify)
                && pattern.slot(over).is_none()
            {
                let kind = RuleErrorKind::OverUnknown { name: over.to_owned(), place: "the pattern" };
                self.error(kind, pattern.span);
            }
        }
        let counts = verb.options.iter().any(|row| row.name == "into");
        let into = clause.options.iter().any(|(row, _)| row.name == "into");
        match over {
            Some(over) if adds_index => {
                for template in clause.templates.iter().filter(|template| !template.uses(over)) {
                    let kind = RuleErrorKind::OverUnknown { name: over.to_owned(), place: "the template" };
                    self.out.errors.push(Spanned::new(kind, template.span));
                }
                if counts && !into && clause.templates.iter().any(|template| template.range(over).is_none()) {
                    self.error(RuleErrorKind::OverNeedsInto { name: over.to_owned() }, clause.span);
                }
            }
            None if into => self.error(RuleErrorKind::IntoWithoutOver, clause.span),
            _ => {}
        }
        let captures: Vec<&str> = clause
            .patterns
            .iter()
            .flat_map(|pattern| pattern.slots.iter().filter_map(|slot| slot.name.as_deref()))
            .collect();
        for (row, value) in &clause.options {
            for expr in value.exprs() {
                if let Some(word) = self.no_word(row.kind, expr, &captures) {
                    let nearest = nearest_word(word, row.kind.words().iter().copied());
                    let takes = row.kind.takes();
                    self.error(RuleErrorKind::OptionKind { option: row.name, takes, nearest }, expr.span);
                } else {
                    self.check_names(expr, &captures, row.kind.words());
                }
            }
        }
        if let Some(condition) = &clause.condition {
            self.check_names(condition, &captures, &[]);
        }
        self.unused(clause);
    }

    /// The word that an option is given and does not take, where it is not a slip of a `let` name either.
    fn no_word<'e>(&self, kind: OptionKind, value: &'e Expr, captures: &[&str]) -> Option<&'e str> {
        let (word, quoted) = match &value.kind {
            ExprKind::Name(word) => (word.as_str(), false),
            ExprKind::Text(word) if kind == OptionKind::Mode => (word.as_str(), true),
            _ => return None,
        };
        let is_name = captures.contains(&word)
            || word.parse::<Dtype>().is_ok()
            || nearest_word(word, self.lets.iter().map(String::as_str)).is_some();
        let takes_words =
            matches!(kind, OptionKind::Dtype | OptionKind::Fill | OptionKind::Bool | OptionKind::Mode);
        (takes_words && !kind.words().contains(&word) && (quoted || !is_name)).then_some(word)
    }

    /// Checks that every name of a value is known where it stands.
    pub(super) fn check_names(&mut self, value: &Expr, captures: &[&str], words: &[&str]) {
        let mut used = Vec::new();
        names::of(value, &mut used);
        for (name, span) in used {
            let in_lets = self.lets.iter().any(|own| own == name);
            if OF_THE_TENSOR.contains(&name) && captures.contains(&name) {
                self.error(RuleErrorKind::CaptureReserved { name: name.to_owned() }, span);
            }
            if in_lets
                || captures.contains(&name)
                || words.contains(&name)
                || OF_THE_TENSOR.contains(&name)
                || name.parse::<Dtype>().is_ok()
            {
                continue;
            }
            if name.starts_with(CONFIG) && self.given.config.is_none() {
                self.error(RuleErrorKind::NoConfig { name: name.to_owned() }, span);
                continue;
            }
            let candidates =
                self.lets.iter().map(String::as_str).chain(captures.iter().copied()).chain(OF_THE_TENSOR);
            let nearest = nearest_word(name, candidates).map(str::to_owned);
            self.error(RuleErrorKind::UnknownName { name: name.to_owned(), nearest }, span);
        }
    }

    /// Checks the patterns inside `shape(…)` and `count(…)`.
    pub(super) fn check_patterns(&mut self, value: &Expr, prefix: Option<&Glob>) {
        for glob in names::patterns(value) {
            let lets = self.lets.clone();
            let is_let = |name: &str| lets.iter().any(|own| own == name);
            self.patterns(std::slice::from_ref(glob), prefix, &Names { lets: &is_let, indices: &|_| false });
        }
    }

    /// Warns of captures that nothing uses; a name that stands twice compares, which is a use.
    fn unused(&mut self, clause: &Clause) {
        let mut used: Vec<&str> = clause.over.as_deref().into_iter().collect();
        let mut spanned = Vec::new();
        clause.condition.iter().for_each(|condition| names::of(condition, &mut spanned));
        let values = clause.options.iter().flat_map(|(_, value)| value.exprs());
        values.for_each(|expr| names::of(expr, &mut spanned));
        clause.templates.iter().for_each(|template| spanned.extend(template.names()));
        used.extend(spanned.iter().map(|(name, _)| *name));
        for pattern in &clause.patterns {
            for slot in &pattern.slots {
                let Some(name) = &slot.name else { continue };
                let written = pattern.text.matches(&format!("{{{name}")).count();
                let seen = self.out.warnings.iter().any(|warning| {
                    let RuleWarning::UnusedCapture { span, .. } = warning;
                    *span == slot.span
                });
                if !used.contains(&name.as_str()) && written < 2 && !seen {
                    self.out
                        .warnings
                        .push(RuleWarning::UnusedCapture { name: name.clone(), span: slot.span });
                }
            }
        }
    }
}
