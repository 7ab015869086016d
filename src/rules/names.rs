//! Which names an expression uses, and which of them it uses as numbers.

use crate::source::Span;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Glob, GlobKind, Part, Spanned};

/// Adds the names that `expr` uses, with their places.
pub(super) fn of<'a>(expr: &'a Expr, names: &mut Vec<(&'a str, Span)>) {
    walk(expr, &mut |expr| {
        if let ExprKind::Name(name) = &expr.kind {
            names.push((name, expr.span));
        }
    });
}

/// The patterns inside `shape(…)` and `count(…)`.
pub(super) fn patterns(expr: &Expr) -> Vec<&Glob> {
    let mut patterns = Vec::new();
    walk(expr, &mut |expr| {
        if let ExprKind::KeysCall(_, pattern) = &expr.kind {
            patterns.push(pattern);
        }
    });
    patterns
}

/// The tensors that an expression of `compute` names, in order.
pub(super) fn operands(expr: &Expr) -> Vec<&Glob> {
    let mut operands = Vec::new();
    walk(expr, &mut |expr| {
        if let ExprKind::Keys(glob) = &expr.kind {
            operands.push(glob);
        }
    });
    operands
}

/// The text of a pattern that is a plain word.
pub(super) fn plain(glob: &Glob) -> Option<String> {
    match &glob.kind {
        GlobKind::Parts(parts) => match parts.as_slice() {
            [Spanned { node: Part::Text(text), .. }] => Some(text.clone()),
            _ => None,
        },
        GlobKind::Regex(_) => None,
    }
}

/// Adds the names that `expr` uses as numbers: all but those that are compared with a text.
pub(super) fn numeric<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
    let mut texts: Vec<&str> = Vec::new();
    walk(expr, &mut |expr| {
        let ExprKind::Binary(left, op, right) = &expr.kind else { return };
        if !matches!(op.node, BinaryOp::Equal | BinaryOp::NotEqual) {
            return;
        }
        match (&left.kind, &right.kind) {
            (ExprKind::Name(name), ExprKind::Text(_)) | (ExprKind::Text(_), ExprKind::Name(name)) => {
                texts.push(name);
            }
            _ => {}
        }
    });
    let mut all = Vec::new();
    of(expr, &mut all);
    names.extend(all.iter().map(|(name, _)| *name).filter(|name| !texts.contains(name)));
}

/// Visits an expression and all its parts. The depth is bounded: brackets nest at most 32 deep, and
/// operators in a row nest to the left as far as a line is long, so the walk keeps its own stack.
fn walk<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    let mut stack = vec![expr];
    while let Some(expr) = stack.pop() {
        visit(expr);
        match &expr.kind {
            ExprKind::List(items) | ExprKind::Call(_, items) => stack.extend(items.iter().rev()),
            ExprKind::Slice(start, end) => stack.extend(end.iter().chain(start).map(|bound| &**bound)),
            ExprKind::Index(left, right) | ExprKind::Binary(left, _, right) => {
                stack.extend([&**right, &**left])
            }
            ExprKind::Unary(_, operand) | ExprKind::Named(_, operand) => stack.push(operand),
            _ => {}
        }
    }
}
