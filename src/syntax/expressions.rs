//! Values, conditions and arithmetic on tensors: from the grammar's pairs to expressions.

use pest::iterators::Pairs;

use super::ast::{BinaryOp, Constant, Expr, ExprKind, Spanned, UnaryOp};
use super::error::SyntaxErrorKind;
use super::parser::{Node, Parser, Rule, is_sign};
use crate::source::Span;

/// How many operators may stand in a row: they nest in the tree, which is walked by recursion.
pub(super) const MAX_OPERATORS: usize = 64;

impl<'a> Parser<'a> {
    pub(super) fn assigned(&mut self, node: Node<'a>) -> Option<Expr> {
        match node.as_rule() {
            Rule::constant => self.constant(node),
            _ => self.expression(node),
        }
    }

    fn constant(&mut self, node: Node<'a>) -> Option<Expr> {
        let span = self.span(&node);
        let inner = node.into_inner().next()?;
        let kind = match inner.as_rule() {
            Rule::text => ExprKind::Text(self.text(inner)?.node),
            Rule::signed_number => {
                let negative = inner.as_str().starts_with('-');
                let number = self.expression(inner.into_inner().last()?)?;
                match number.kind {
                    ExprKind::Integer(value) if negative => ExprKind::Integer(-value),
                    ExprKind::Float(value) if negative => ExprKind::Float(-value),
                    kind => kind,
                }
            }
            Rule::constant_list => {
                let items = inner.into_inner().filter(|part| part.as_rule() == Rule::constant);
                ExprKind::List(items.map(|part| self.constant(part)).collect::<Option<_>>()?)
            }
            Rule::constant_dict => {
                let mut items = Vec::new();
                for item in inner.into_inner().filter(|part| part.as_rule() == Rule::constant_item) {
                    let mut parts = item.into_inner().filter(|part| !is_sign(part.as_rule()));
                    items.push((self.text(parts.next()?)?, self.constant(parts.next()?)?));
                }
                ExprKind::Dict(items)
            }
            _ => ExprKind::Constant(match inner.as_str() {
                "true" => Constant::True,
                "false" => Constant::False,
                _ => Constant::None,
            }),
        };
        Some(Expr { kind, span })
    }

    pub(super) fn expression(&mut self, node: Node<'a>) -> Option<Expr> {
        let node = innermost(node);
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::expression
            | Rule::conjunction
            | Rule::comparison
            | Rule::sum
            | Rule::product
            | Rule::tensor_sum
            | Rule::tensor_product => return self.binary(node.into_inner()),
            Rule::negation => return self.unary(node, UnaryOp::Not),
            Rule::unary | Rule::tensor_unary => return self.unary(node, UnaryOp::Minus),
            Rule::postfix => {
                let mut parts = node.into_inner();
                let mut value = self.expression(parts.next()?)?;
                for index in parts {
                    let end = self.span(&index).end;
                    let index = self.expression(index.into_inner().find(|part| !is_sign(part.as_rule()))?)?;
                    let span = Span { end, ..value.span };
                    value = Expr { kind: ExprKind::Index(Box::new(value), Box::new(index)), span };
                }
                return Some(value);
            }
            Rule::primary | Rule::tensor_primary | Rule::tensor_number => {
                return self.expression(node.into_inner().find(|part| !is_sign(part.as_rule()))?);
            }
            Rule::number if node.as_str().bytes().all(|byte| byte.is_ascii_digit()) => {
                ExprKind::Integer(self.number(&node)?)
            }
            Rule::number => ExprKind::Float(self.number(&node)?),
            Rule::text => ExprKind::Text(self.text(node)?.node),
            Rule::name => ExprKind::Name(node.as_str().to_owned()),
            Rule::pattern => ExprKind::Keys(self.glob(node)?),
            Rule::keys_call => {
                let mut parts = node.into_inner();
                let function = self.word(&parts.next()?);
                let argument = parts.next()?.into_inner().find(|part| part.as_rule() == Rule::pattern)?;
                ExprKind::KeysCall(function, self.glob(argument)?)
            }
            Rule::call | Rule::tensor_call => {
                let mut parts = node.into_inner().filter(|part| !is_sign(part.as_rule()));
                let function = self.word(&parts.next()?);
                let mut arguments = Vec::new();
                for part in parts {
                    match part.as_rule() {
                        Rule::arguments => {
                            for argument in part.into_inner().filter(|part| !is_sign(part.as_rule())) {
                                arguments.push(self.expression(argument)?);
                            }
                        }
                        _ => arguments.push(self.expression(part)?),
                    }
                }
                ExprKind::Call(function, arguments)
            }
            Rule::tensor_argument => {
                let mut parts = node.into_inner();
                let first = parts.next()?;
                match parts.next() {
                    None => return self.expression(first),
                    Some(value) => ExprKind::Named(self.word(&first), Box::new(self.expression(value)?)),
                }
            }
            Rule::list => {
                let elements = node.into_inner().filter(|part| part.as_rule() == Rule::element);
                let elements = elements.map(|part| self.expression(part.into_inner().next()?));
                ExprKind::List(elements.collect::<Option<_>>()?)
            }
            Rule::slice => {
                let (mut start, mut end) = (None, None);
                for part in node.into_inner() {
                    let rule = part.as_rule();
                    let Some(value) = part.into_inner().next() else { continue };
                    let value = Some(Box::new(self.expression(value)?));
                    if rule == Rule::slice_start { start = value } else { end = value }
                }
                ExprKind::Slice(start, end)
            }
            _ => return None,
        };
        Some(Expr { kind, span })
    }

    /// Operands with operators between them, joined from the left.
    fn binary(&mut self, mut parts: Pairs<'a, Rule>) -> Option<Expr> {
        let mut left = self.expression(parts.next()?)?;
        let mut count = 0;
        while let Some(sign) = parts.next() {
            count += 1;
            if count > MAX_OPERATORS {
                self.error(SyntaxErrorKind::TooDeep { most: MAX_OPERATORS }, self.range(&sign));
                return None;
            }
            let op = Spanned::new(operator(sign.as_str())?, self.span(&sign));
            let right = self.expression(parts.next()?)?;
            let span = Span { end: right.span.end, ..left.span };
            left = Expr { kind: ExprKind::Binary(Box::new(left), op, Box::new(right)), span };
        }
        Some(left)
    }

    /// Signs before an operand, the last one applied first.
    fn unary(&mut self, node: Node<'a>, op: UnaryOp) -> Option<Expr> {
        let range = self.range(&node);
        let mut parts: Vec<Node<'a>> = node.into_inner().collect();
        if parts.len() > MAX_OPERATORS {
            self.error(SyntaxErrorKind::TooDeep { most: MAX_OPERATORS }, range);
            return None;
        }
        let mut value = self.expression(parts.pop()?)?;
        for sign in parts.iter().rev() {
            let span = Span { start: self.span(sign).start, ..value.span };
            value = Expr { kind: ExprKind::Unary(op, Box::new(value)), span };
        }
        Some(value)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, node: &Node<'a>) -> Option<T> {
        let number = node.as_str().parse().ok();
        if number.is_none() {
            self.error(SyntaxErrorKind::NumberTooLarge, self.range(node));
        }
        number
    }
}

/// The first rule below `node` that has something to say: each level of precedence wraps the next, and
/// walking down them by recursion would take ten frames for one bracket.
fn innermost(mut node: Node<'_>) -> Node<'_> {
    use Rule::{
        comparison, conjunction, expression, negation, plain, postfix, primary, product, sum, tensor_number,
        tensor_primary, tensor_product, tensor_sum, tensor_unary, unary,
    };
    loop {
        let wraps = matches!(
            node.as_rule(),
            expression
                | conjunction
                | negation
                | plain
                | comparison
                | sum
                | product
                | unary
                | postfix
                | primary
                | tensor_sum
                | tensor_product
                | tensor_unary
                | tensor_primary
                | tensor_number
        );
        let mut inner = node.clone().into_inner().filter(|part| !is_sign(part.as_rule()));
        match (wraps, inner.next(), inner.next()) {
            (true, Some(only), None) => node = only,
            _ => return node,
        }
    }
}

fn operator(sign: &str) -> Option<BinaryOp> {
    Some(match sign.trim() {
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Subtract,
        "*" => BinaryOp::Multiply,
        "/" => BinaryOp::Divide,
        "//" => BinaryOp::FloorDivide,
        "%" => BinaryOp::Remainder,
        "@" => BinaryOp::MatMul,
        "<" => BinaryOp::Less,
        "<=" => BinaryOp::LessEqual,
        ">" => BinaryOp::Greater,
        ">=" => BinaryOp::GreaterEqual,
        "==" => BinaryOp::Equal,
        "!=" => BinaryOp::NotEqual,
        "and" => BinaryOp::And,
        "or" => BinaryOp::Or,
        _ => return None,
    })
}
