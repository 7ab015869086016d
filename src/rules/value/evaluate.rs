//! The arithmetic over values.

use super::{MAX_VALUES, Scope, Value, ValueError, ValueErrorKind};
use crate::source::Span;
use crate::syntax::ast::{BinaryOp, Constant, Expr, ExprKind, UnaryOp};

type Outcome = Result<Value, ValueErrorKind>;

/// Evaluates an expression.
///
/// # Errors
/// See [`ValueErrorKind`]; whole numbers never wrap or round.
pub fn evaluate(expr: &Expr, scope: &dyn Scope) -> Result<Value, ValueError> {
    let here = |kind| ValueError { kind, span: expr.span };
    let value = match &expr.kind {
        ExprKind::Integer(value) => Value::Int(*value),
        ExprKind::Float(value) => Value::Float(*value),
        ExprKind::Text(text) => Value::Text(text.clone()),
        ExprKind::Constant(Constant::True) => Value::Bool(true),
        ExprKind::Constant(Constant::False) => Value::Bool(false),
        ExprKind::Constant(Constant::None) => Value::Word("none".into()),
        ExprKind::Name(name) => match scope.name(name) {
            Some(value) => value,
            None => match name.parse() {
                Ok(dtype) => Value::Dtype(dtype),
                Err(()) => Value::Word(name.clone()),
            },
        },
        ExprKind::List(items) => {
            let items: Result<Vec<Value>, ValueError> =
                items.iter().map(|item| evaluate(item, scope)).collect();
            let list = Value::List(items?);
            // Names let a few lines say lists of lists that double each time.
            if list.extent(0).is_none_or(|values| values > MAX_VALUES) {
                return Err(here(ValueErrorKind::LargeList));
            }
            list
        }
        ExprKind::Slice(start, end) => {
            let bound = |bound: &Option<Box<Expr>>| match bound {
                None => Ok(None),
                Some(expr) => integer(expr, scope).map(Some),
            };
            Value::Slice(bound(start)?, bound(end)?)
        }
        ExprKind::Index(list, index) => {
            let (list, index) = (evaluate(list, scope)?, integer(index, scope)?);
            element(list, index).map_err(here)?
        }
        ExprKind::KeysCall(function, pattern) => scope.keys(&function.node, pattern).map_err(here)?,
        ExprKind::Call(function, arguments) => {
            let arguments: Result<Vec<Value>, ValueError> =
                arguments.iter().map(|argument| evaluate(argument, scope)).collect();
            call(&function.node, &arguments?).map_err(here)?
        }
        ExprKind::Unary(op, operand) => {
            let value = evaluate(operand, scope)?;
            match (op, value) {
                (UnaryOp::Minus, Value::Int(value)) => {
                    Value::Int(value.checked_neg().ok_or_else(|| here(ValueErrorKind::Overflow))?)
                }
                (UnaryOp::Minus, Value::Float(value)) => Value::Float(-value),
                (UnaryOp::Minus, Value::Word(word)) if word == "inf" => Value::Float(f64::NEG_INFINITY),
                (UnaryOp::Not, Value::Bool(value)) => Value::Bool(!value),
                (_, value) => {
                    let wanted = if *op == UnaryOp::Not { "a condition" } else { "a number" };
                    return Err(here(ValueErrorKind::Kind { what: value.to_string(), wanted }));
                }
            }
        }
        ExprKind::Binary(left, op, right) if matches!(op.node, BinaryOp::And | BinaryOp::Or) => {
            // The right side is not looked at where the left decides: `rank == 2 and shape[1] == 3`.
            let decides = op.node == BinaryOp::Or;
            match truth(left, scope)? {
                value if value == decides => Value::Bool(value),
                _ => Value::Bool(truth(right, scope)?),
            }
        }
        ExprKind::Binary(left, op, right) => {
            let (left, right) = (evaluate(left, scope)?, evaluate(right, scope)?);
            binary(op.node, left, right).map_err(here)?
        }
        ExprKind::Keys(_) | ExprKind::Named(..) | ExprKind::Dict(_) => {
            return Err(here(ValueErrorKind::Kind { what: "this".into(), wanted: "a number" }));
        }
    };
    Ok(value)
}

/// Evaluates arithmetic on real numbers, in which `1/8` is 0.125.
///
/// # Errors
/// As [`evaluate`], and where it comes to no number.
pub fn real_number(expr: &Expr, scope: &dyn Scope) -> Result<f64, ValueError> {
    if let ExprKind::Binary(left, op, right) = &expr.kind
        && matches!(op.node, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide)
    {
        let (left, right) = (real_number(left, scope)?, real_number(right, scope)?);
        return Ok(match op.node {
            BinaryOp::Add => left + right,
            BinaryOp::Subtract => left - right,
            BinaryOp::Multiply => left * right,
            _ if right == 0.0 => {
                return Err(ValueError { kind: ValueErrorKind::DivisionByZero, span: expr.span });
            }
            _ => left / right,
        });
    }
    if let ExprKind::Unary(UnaryOp::Minus, operand) = &expr.kind {
        return Ok(-real_number(operand, scope)?);
    }
    if let ExprKind::Call(function, arguments) = &expr.kind
        && let ("sqrt", [argument]) = (function.node.as_str(), arguments.as_slice())
    {
        return Ok(real_number(argument, scope)?.sqrt());
    }
    let value = evaluate(expr, scope)?;
    real(&value).ok_or_else(|| wrong(&value, "a number", expr.span))
}

/// Evaluates an expression that must come to a whole number.
///
/// # Errors
/// As [`evaluate`], and where it comes to something else.
pub fn integer(expr: &Expr, scope: &dyn Scope) -> Result<i64, ValueError> {
    match evaluate(expr, scope)? {
        Value::Int(value) => Ok(value),
        value => Err(wrong(&value, "a whole number", expr.span)),
    }
}

/// Evaluates a condition.
///
/// # Errors
/// As [`evaluate`], and where it comes to something that is neither true nor false.
pub fn truth(expr: &Expr, scope: &dyn Scope) -> Result<bool, ValueError> {
    match evaluate(expr, scope)? {
        Value::Bool(value) => Ok(value),
        value => Err(wrong(&value, "a condition", expr.span)),
    }
}

fn wrong(value: &Value, wanted: &'static str, span: Span) -> ValueError {
    let kind = match value {
        Value::Word(name) => ValueErrorKind::UnknownName { name: name.clone() },
        _ => ValueErrorKind::Kind { what: value.to_string(), wanted },
    };
    ValueError { kind, span }
}

fn element(list: Value, index: i64) -> Outcome {
    let Value::List(values) = list else {
        return Err(ValueErrorKind::Kind { what: list.to_string(), wanted: "a list" });
    };
    let len = values.len();
    let at = if index < 0 { index.checked_add_unsigned(len as u64) } else { Some(index) };
    let found = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| values.get(at).cloned());
    found.ok_or_else(|| ValueErrorKind::OutOfRange { index, len, of: Value::List(values).to_string() })
}

fn binary(op: BinaryOp, left: Value, right: Value) -> Outcome {
    use BinaryOp as Op;
    let operands = || ValueErrorKind::Operands { sign: op.sign(), left: left.kind(), right: right.kind() };
    match (op, &left, &right) {
        (Op::Equal, ..) => return Ok(Value::Bool(equal(&left, &right).ok_or_else(operands)?)),
        (Op::NotEqual, ..) => return Ok(Value::Bool(!equal(&left, &right).ok_or_else(operands)?)),
        (_, Value::Int(left), Value::Int(right)) => return integers(op, *left, *right),
        _ => {}
    }
    let (Some(a), Some(b)) = (real(&left), real(&right)) else { return Err(operands()) };
    Ok(match op {
        Op::Add => Value::Float(a + b),
        Op::Subtract => Value::Float(a - b),
        Op::Multiply => Value::Float(a * b),
        Op::Divide if b == 0.0 => return Err(ValueErrorKind::DivisionByZero),
        Op::Divide => Value::Float(a / b),
        Op::Less => Value::Bool(a < b),
        Op::LessEqual => Value::Bool(a <= b),
        Op::Greater => Value::Bool(a > b),
        Op::GreaterEqual => Value::Bool(a >= b),
        _ => return Err(operands()),
    })
}

fn integers(op: BinaryOp, left: i64, right: i64) -> Outcome {
    use BinaryOp as Op;
    if right == 0 && matches!(op, Op::Divide | Op::FloorDivide | Op::Remainder) {
        return Err(ValueErrorKind::DivisionByZero);
    }
    let value = match op {
        Op::Add => left.checked_add(right),
        Op::Subtract => left.checked_sub(right),
        Op::Multiply => left.checked_mul(right),
        Op::Divide => match left.checked_rem(right) {
            Some(0) => left.checked_div(right),
            Some(rest) => return Err(ValueErrorKind::Rest { left, right, rest }),
            None => None,
        },
        // Rounded down and with a rest of the divisor's sign, as in Python.
        Op::FloorDivide => left
            .checked_div_euclid(right)
            .map(|floor| if right < 0 && left.rem_euclid(right) != 0 { floor - 1 } else { floor }),
        Op::Remainder => left
            .checked_rem_euclid(right)
            .map(|rest| if right < 0 && rest != 0 { rest + right } else { rest }),
        Op::Less => return Ok(Value::Bool(left < right)),
        Op::LessEqual => return Ok(Value::Bool(left <= right)),
        Op::Greater => return Ok(Value::Bool(left > right)),
        Op::GreaterEqual => return Ok(Value::Bool(left >= right)),
        _ => {
            let kind = Value::Int(left).kind();
            return Err(ValueErrorKind::Operands { sign: op.sign(), left: kind, right: kind });
        }
    };
    value.map(Value::Int).ok_or(ValueErrorKind::Overflow)
}

/// Whether two values are the same, or `None` where they cannot be compared.
fn equal(left: &Value, right: &Value) -> Option<bool> {
    match (left, right) {
        (Value::Word(word), Value::Text(text)) | (Value::Text(text), Value::Word(word)) => Some(word == text),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => Some(real(left) == real(right)),
        _ if std::mem::discriminant(left) == std::mem::discriminant(right) => Some(left == right),
        _ => None,
    }
}

/// The value as a real number.
#[allow(clippy::cast_precision_loss)] // beyond 2^53 a mixed expression is a float in any language
pub fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Word(word) if word == "inf" => Some(f64::INFINITY),
        Value::Word(word) if word == "nan" => Some(f64::NAN),
        _ => None,
    }
}

fn call(function: &str, arguments: &[Value]) -> Outcome {
    let takes = |takes| Err(ValueErrorKind::Arguments { function: function.to_owned(), takes });
    match (function, arguments) {
        ("len", [Value::List(values)]) => Ok(Value::Int(values.len().try_into().unwrap_or(i64::MAX))),
        ("len", _) => takes("a list"),
        ("sum" | "min" | "max", [Value::List(values)]) => fold(function, values),
        ("min" | "max", values) if values.len() > 1 => fold(function, values),
        ("sum" | "min" | "max", _) => takes("a list of whole numbers"),
        ("sqrt", [Value::Int(value)]) => {
            let root = value.checked_isqrt().filter(|root| root * root == *value);
            root.map(Value::Int).ok_or(ValueErrorKind::Sqrt { value: *value })
        }
        ("sqrt", [Value::Float(value)]) => Ok(Value::Float(value.sqrt())),
        ("sqrt", _) => takes("a number"),
        ("group" | "within", [Value::Int(index), Value::List(sizes)]) => {
            let mut left = *index;
            for (group, size) in sizes.iter().enumerate() {
                let Value::Int(size) = size else { return takes("an index and a list of whole numbers") };
                if left < *size && left >= 0 {
                    let group = i64::try_from(group).unwrap_or(i64::MAX);
                    return Ok(Value::Int(if function == "group" { group } else { left }));
                }
                left = left.checked_sub(*size).ok_or(ValueErrorKind::Overflow)?;
            }
            let total = index.checked_sub(left).ok_or(ValueErrorKind::Overflow)?;
            Err(ValueErrorKind::BeyondGroups { index: *index, total })
        }
        ("group" | "within", _) => takes("an index and a list of whole numbers"),
        _ => Err(ValueErrorKind::UnknownFunction { function: function.to_owned() }),
    }
}

fn fold(function: &str, values: &[Value]) -> Outcome {
    let mut total: Option<i64> = None;
    for value in values {
        let Value::Int(value) = value else {
            return Err(ValueErrorKind::Kind { what: value.to_string(), wanted: "a whole number" });
        };
        total = Some(match (total, function) {
            (None, _) => *value,
            (Some(total), "sum") => total.checked_add(*value).ok_or(ValueErrorKind::Overflow)?,
            (Some(total), "min") => total.min(*value),
            (Some(total), _) => total.max(*value),
        });
    }
    match total {
        Some(total) => Ok(Value::Int(total)),
        None if function == "sum" => Ok(Value::Int(0)),
        None => Err(ValueErrorKind::Arguments {
            function: function.to_owned(),
            takes: "a list that is not empty",
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::syntax;
    use crate::syntax::ast::Glob;

    struct Named(Value);

    impl Scope for Named {
        fn name(&self, name: &str) -> Option<Value> {
            (name == "n").then(|| self.0.clone())
        }

        fn keys(&self, _: &str, _: &Glob) -> Result<Value, ValueErrorKind> {
            Ok(Value::Int(0))
        }
    }

    fn rounds(line: &str) -> usize {
        let expr = syntax::parse_value(line, 0).unwrap();
        let mut scope = Named(Value::Int(1));
        for round in 0..1000 {
            match evaluate(&expr, &scope) {
                Ok(value) => scope = Named(value),
                Err(error) => {
                    assert_eq!(error.kind, ValueErrorKind::LargeList);
                    return round;
                }
            }
        }
        1000
    }

    #[test]
    fn lists_of_lists_neither_double_nor_nest_without_end() {
        assert_eq!(rounds("[n, n, n, n]"), 9);
        assert_eq!(rounds("[n]"), 64);
    }
}
