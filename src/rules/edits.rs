//! `set`, `unset` and `move`: changes to what the file holds besides tensors.

use super::Edit;
use super::error::{RuleError, RuleErrorKind};
use super::verbs::Verb;
use crate::edit::{self, Change, Plain};
use crate::source::Span;
use crate::syntax::ast::{Clause, Constant, Expr, ExprKind, Glob, GlobKind, Part, Spanned, UnaryOp};

/// The changes that a clause asks for.
///
/// # Errors
/// Paths that are no plain text, values that are no constants, and parts that the verb does not take.
pub(super) fn of_clause(
    verb: &'static Verb,
    clause: &Clause,
    optional: bool,
) -> Result<Vec<Edit>, RuleError> {
    let wrong = |kind, span| Err(Spanned::new(kind, span));
    let sets = verb.name == "set";
    match &clause.assigned {
        Some(assigned) if !sets => return wrong(RuleErrorKind::Assigned { verb: verb.name }, assigned.span),
        None if sets => {
            let kind = RuleErrorKind::NeedsAssigned { verb: verb.name, example: verb.example };
            return wrong(kind, clause.span);
        }
        _ => {}
    }
    if let Some(option) = clause.options.first() {
        let (option_name, takes) = (option.name.node.clone(), Vec::new());
        let kind =
            RuleErrorKind::UnknownOption { verb: verb.name, option: option_name, nearest: None, takes };
        return wrong(kind, option.name.span);
    }
    let beside = clause.condition.as_ref().map(|condition| condition.span);
    if let Some(span) = beside.or_else(|| clause.except.first().map(|except| except.span)) {
        return wrong(RuleErrorKind::ValueAlone { verb: verb.name }, span);
    }
    if verb.name != "move"
        && let Some(template) = clause.templates.first()
    {
        return wrong(RuleErrorKind::NoTemplate { verb: verb.name }, template.span);
    }
    let change = match (&clause.assigned, clause.templates.as_slice()) {
        (Some(assigned), _) => Change::Set(plain(assigned)?),
        (None, []) if verb.name == "move" => {
            let kind = RuleErrorKind::NeedsTemplate { verb: verb.name, example: verb.example };
            return wrong(kind, clause.span);
        }
        (None, []) => Change::Unset,
        (None, [to]) => Change::Move(path(to)?),
        (None, [_, second, ..]) => return wrong(RuleErrorKind::OneTemplate { verb: verb.name }, second.span),
    };
    if let ([_, second, ..], false) = (clause.patterns.as_slice(), change == Change::Unset) {
        return wrong(RuleErrorKind::ValueAlone { verb: verb.name }, second.span);
    }
    let edit = |glob: &Glob| {
        let edit = edit::Edit { path: path(glob)?, change: change.clone(), optional };
        Ok(Edit { edit, span: clause.span })
    };
    clause.patterns.iter().map(edit).collect()
}

/// The segments of a path, quoted ones with their dots.
fn path(glob: &Glob) -> Result<Vec<String>, RuleError> {
    let wrong = || Spanned::new(RuleErrorKind::ValuePath, glob.span);
    let GlobKind::Parts(parts) = &glob.kind else { return Err(wrong()) };
    let mut path = vec![String::new()];
    for part in parts {
        match (&part.node, path.last_mut()) {
            (Part::Text(text), Some(segment)) => segment.push_str(text),
            (Part::Dot, _) => path.push(String::new()),
            _ => return Err(wrong()),
        }
    }
    if path.iter().any(String::is_empty) { Err(wrong()) } else { Ok(path) }
}

/// A constant as written.
fn plain(expr: &Expr) -> Result<Plain, RuleError> {
    let wrong = |span: Span| Spanned::new(RuleErrorKind::NotPlain, span);
    Ok(match &expr.kind {
        ExprKind::Integer(value) => Plain::Int(*value),
        ExprKind::Float(value) => Plain::Float(*value),
        ExprKind::Text(text) => Plain::Text(text.clone()),
        ExprKind::Constant(Constant::True) => Plain::Bool(true),
        ExprKind::Constant(Constant::False) => Plain::Bool(false),
        ExprKind::Constant(Constant::None) => Plain::None,
        ExprKind::List(values) => Plain::List(values.iter().map(plain).collect::<Result<_, _>>()?),
        ExprKind::Dict(items) => {
            let items = items.iter().map(|(key, value)| Ok((key.node.clone(), plain(value)?)));
            Plain::Dict(items.collect::<Result<_, RuleError>>()?)
        }
        ExprKind::Unary(UnaryOp::Minus, value) => match plain(value)? {
            Plain::Int(value) => Plain::Int(value.checked_neg().ok_or_else(|| wrong(expr.span))?),
            Plain::Float(value) => Plain::Float(-value),
            _ => return Err(wrong(expr.span)),
        },
        _ => return Err(wrong(expr.span)),
    })
}
