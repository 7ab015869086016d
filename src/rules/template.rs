//! Templates: the new name of a key, made from what a pattern captured.

use std::borrow::Cow;

use super::error::RuleErrorKind;
use super::matching::{Capture, Match};
use super::pattern::{Pattern, SlotKind};
use super::value::{Scope, Value, ValueError, ValueErrorKind, evaluate};
use crate::source::Span;
use crate::syntax::ast::{BinaryOp, CaptureKind, Expr, ExprKind, Glob, GlobKind, Part, Spanned};

/// A template for a key.
#[derive(Clone, Debug)]
pub struct Template {
    /// As it is written, with the prefix of `under`.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// What stands between the dots.
    places: Vec<Vec<Piece>>,
}

/// A piece of a template.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    /// The n-th nameless wildcard of the pattern, and whether it is `**`.
    Star(usize, bool),
    /// The n-th nameless alternatives of the pattern, and what each becomes.
    Choice(usize, Vec<String>),
    /// A capture or a `let` name.
    Name(String, Span),
    /// The alternatives of a named capture, and what each becomes.
    NamedChoice(String, Vec<String>, Span),
    /// The index that `over` runs, with the range that is written.
    Range(String, u64, u64),
    Arithmetic(Expr),
}

/// A template that gives no name.
#[derive(Clone, Debug)]
pub enum RenderError {
    /// Arithmetic without a value.
    Value(ValueError),
    /// An index below zero.
    Negative {
        /// The value.
        value: i64,
        /// Where it is computed.
        span: Span,
    },
    /// All places are empty.
    Empty,
}

impl Template {
    /// Builds a template from what is written; lists must have been expanded before.
    ///
    /// # Errors
    /// A regular expression, a forgotten capture, kinds of captures other than a range.
    pub fn new(glob: &Glob, text: String) -> Result<Template, Spanned<RuleErrorKind>> {
        let GlobKind::Parts(parts) = &glob.kind else {
            return Err(Spanned::new(RuleErrorKind::RegexTemplate, glob.span));
        };
        let (mut stars, mut choices) = (0, 0);
        let next = |counter: &mut usize| {
            *counter += 1;
            *counter - 1
        };
        let mut places = vec![Vec::new()];
        for part in parts {
            let piece = match &part.node {
                Part::Dot => {
                    places.push(Vec::new());
                    continue;
                }
                Part::Text(text) => Piece::Text(text.clone()),
                Part::Star => Piece::Star(next(&mut stars), false),
                Part::DoubleStar => Piece::Star(next(&mut stars), true),
                Part::Capture(name, kind) if name.node == "_" || matches!(kind, Some(CaptureKind::Int)) => {
                    return Err(Spanned::new(RuleErrorKind::ForgottenInTemplate, part.span));
                }
                Part::Capture(name, Some(CaptureKind::Range(first, last))) => {
                    Piece::Range(name.node.clone(), *first, *last)
                }
                Part::Capture(name, _) => Piece::Name(name.node.clone(), part.span),
                Part::Alternatives(name, texts) => {
                    let texts = texts.iter().map(|text| text.node.clone()).collect();
                    match name {
                        None => Piece::Choice(next(&mut choices), texts),
                        Some(name) => Piece::NamedChoice(name.node.clone(), texts, part.span),
                    }
                }
                Part::Arithmetic(expr) => Piece::Arithmetic(expr.clone()),
                Part::List(_) => return Err(Spanned::new(RuleErrorKind::ListHere, part.span)),
            };
            if let Some(place) = places.last_mut() {
                place.push(piece);
            }
        }
        if places.iter().any(Vec::is_empty) {
            return Err(Spanned::new(RuleErrorKind::EmptySegment, glob.span));
        }
        Ok(Template { text, span: glob.span, places })
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.places.iter().flatten()
    }

    /// The names that the template uses, with those inside arithmetic.
    pub fn names(&self) -> Vec<(&str, Span)> {
        let mut names = Vec::new();
        for piece in self.pieces() {
            match piece {
                Piece::Name(name, span) | Piece::NamedChoice(name, _, span) => names.push((&**name, *span)),
                Piece::Arithmetic(expr) => super::names::of(expr, &mut names),
                _ => {}
            }
        }
        names
    }

    /// The range that the template gives for the index that `over` runs.
    pub fn range(&self, name: &str) -> Option<(u64, u64)> {
        self.pieces().find_map(|piece| match piece {
            Piece::Range(own, first, last) if own == name => Some((*first, *last)),
            _ => None,
        })
    }

    /// Whether a name stands in the template.
    pub fn uses(&self, name: &str) -> bool {
        self.range(name).is_some() || self.names().iter().any(|(used, _)| *used == name)
    }

    /// Whether the name is computed in a way that a shift of an index is not.
    pub fn computes(&self) -> bool {
        let shift = |expr: &Expr| match &expr.kind {
            ExprKind::Binary(left, op, right) => {
                matches!(op.node, BinaryOp::Add | BinaryOp::Subtract)
                    && matches!((&left.kind, &right.kind), (ExprKind::Name(_), ExprKind::Integer(_)))
            }
            _ => false,
        };
        self.pieces().any(|piece| matches!(piece, Piece::Arithmetic(expr) if !shift(expr)))
    }

    /// Checks that wildcards and alternatives pair with those of `pattern`; `over` may run one more name.
    ///
    /// # Errors
    /// Unequal counts or kinds of nameless wildcards, alternatives that do not pair.
    pub fn pair(&self, pattern: &Pattern) -> Result<(), Spanned<RuleErrorKind>> {
        let stars: Vec<bool> = self
            .pieces()
            .filter_map(|piece| if let Piece::Star(_, double) = piece { Some(*double) } else { None })
            .collect();
        let wanted: Vec<bool> =
            pattern.stars().map(|slot| pattern.slots[slot].kind == SlotKind::DoubleStar).collect();
        if stars != wanted {
            let kind = RuleErrorKind::Wildcards {
                pattern: pattern.text.clone(),
                template: self.text.clone(),
                of_pattern: wanted,
                of_template: stars,
            };
            return Err(Spanned::new(kind, self.span));
        }
        let groups: Vec<&[String]> = pattern
            .choices()
            .filter_map(|slot| match &pattern.slots[slot].kind {
                SlotKind::Choice { texts } => Some(texts.as_slice()),
                _ => None,
            })
            .collect();
        let choices: Vec<&[String]> = self
            .pieces()
            .filter_map(
                |piece| if let Piece::Choice(_, texts) = piece { Some(texts.as_slice()) } else { None },
            )
            .collect();
        let pairs =
            choices.len() == groups.len() && choices.iter().zip(&groups).all(|(a, b)| a.len() == b.len());
        if !choices.is_empty() && !pairs {
            let show = |groups: &[&[String]]| {
                groups.iter().map(|texts| format!("{{{}}}", texts.join("|"))).collect()
            };
            let kind = RuleErrorKind::Alternatives { pattern: show(&groups), template: show(&choices) };
            return Err(Spanned::new(kind, self.span));
        }
        for piece in self.pieces() {
            let Piece::NamedChoice(name, texts, span) = piece else { continue };
            let slot = pattern.slot(name).map(|slot| &pattern.slots[slot].kind);
            let own = match slot {
                Some(SlotKind::Choice { texts }) => texts.clone(),
                _ => Vec::new(),
            };
            if own.len() != texts.len() {
                let show = |texts: &[String]| vec![format!("{{{name}:{}}}", texts.join("|"))];
                let kind = RuleErrorKind::Alternatives { pattern: show(&own), template: show(texts) };
                return Err(Spanned::new(kind, *span));
            }
        }
        Ok(())
    }

    /// The name that the template gives to a match; `scope` knows the captures as values.
    ///
    /// # Errors
    /// Arithmetic without a whole, non-negative value, and a name of no segments.
    pub fn render(&self, pattern: &Pattern, way: &Match, scope: &dyn Scope) -> Result<String, RenderError> {
        let mut name: Option<String> = None;
        for place in &self.places {
            let mut segment: Option<String> = None;
            for piece in place {
                let Some(text) = self.piece(piece, pattern, way, scope)? else { continue };
                segment.get_or_insert_default().push_str(&text);
            }
            // Zero segments take their dot along; an alternative that is empty counts as none.
            let Some(segment) = segment.filter(|text| !(text.is_empty() && vanishes(place))) else {
                continue;
            };
            match &mut name {
                None => name = Some(segment),
                Some(name) => {
                    name.push('.');
                    name.push_str(&segment);
                }
            }
        }
        name.filter(|name| !name.is_empty()).ok_or(RenderError::Empty)
    }

    fn piece<'t>(
        &self,
        piece: &'t Piece,
        pattern: &Pattern,
        way: &'t Match,
        scope: &dyn Scope,
    ) -> Result<Option<Cow<'t, str>>, RenderError> {
        let capture = |slot: usize| way.captures.get(slot);
        let text = |capture: &'t Capture| capture.text.as_deref().map(Cow::from);
        let pick = |choice: usize, texts: &'t [String]| texts.get(choice).map(Cow::from);
        Ok(match piece {
            Piece::Text(text) => Some(text.into()),
            Piece::Star(nth, _) => pattern.stars().nth(*nth).and_then(capture).and_then(text),
            Piece::Choice(nth, texts) => {
                let choice = pattern.choices().nth(*nth).and_then(capture).and_then(|capture| capture.choice);
                choice.and_then(|choice| pick(choice, texts))
            }
            Piece::NamedChoice(name, texts, _) => {
                let choice = pattern.slot(name).and_then(capture).and_then(|capture| capture.choice);
                choice.and_then(|choice| pick(choice, texts))
            }
            Piece::Name(name, span) => match pattern.slot(name) {
                Some(slot) => capture(slot).and_then(text),
                None => Some(text_of(scope.name(name), *span)?.into()),
            },
            Piece::Range(name, ..) => Some(text_of(scope.name(name), self.span)?.into()),
            Piece::Arithmetic(expr) => {
                Some(text_of(Some(evaluate(expr, scope).map_err(RenderError::Value)?), expr.span)?.into())
            }
        })
    }
}

/// Whether a place that renders to nothing goes together with its dot.
fn vanishes(place: &[Piece]) -> bool {
    matches!(place, [Piece::Choice(..) | Piece::NamedChoice(..) | Piece::Name(..)])
}

fn text_of(value: Option<Value>, span: Span) -> Result<String, RenderError> {
    match value {
        Some(Value::Int(value)) if value < 0 => Err(RenderError::Negative { value, span }),
        Some(Value::Int(value)) => Ok(value.to_string()),
        Some(Value::Text(text)) => Ok(text),
        // A list or a fraction in a name is a slip: its brackets and dots would become part of the key.
        Some(value) => {
            let kind = ValueErrorKind::Kind { what: value.to_string(), wanted: "a whole number or a text" };
            Err(RenderError::Value(ValueError { kind, span }))
        }
        None => Ok(String::new()),
    }
}
