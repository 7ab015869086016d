//! Patterns and templates: from the grammar's pairs to their parts.

use pest::iterators::Pairs;

use super::ast::{CaptureKind, Glob, GlobKind, Part, Spanned, Word};
use super::error::SyntaxErrorKind;
use super::parser::{Node, Parser, Rule, is_sign};

impl<'a> Parser<'a> {
    pub(super) fn globs(&mut self, nodes: Pairs<'a, Rule>) -> Option<Vec<Glob>> {
        nodes.filter(|node| node.as_rule() == Rule::pattern).map(|node| self.glob(node)).collect()
    }

    pub(super) fn glob(&mut self, node: Node<'a>) -> Option<Glob> {
        let span = self.span(&node);
        let inner = node.into_inner().next()?;
        let kind = match inner.as_rule() {
            Rule::regex => GlobKind::Regex(inner.into_inner().next()?.as_str().replace("\\/", "/")),
            _ => GlobKind::Parts(inner.into_inner().map(|part| self.part(part)).collect::<Option<_>>()?),
        };
        Some(Glob { kind, span })
    }

    fn part(&mut self, node: Node<'a>) -> Option<Spanned<Part>> {
        let span = self.span(&node);
        let part = match node.as_rule() {
            Rule::double_star => Part::DoubleStar,
            Rule::star => Part::Star,
            Rule::dot => Part::Dot,
            Rule::quoted => Part::Text(self.text(node)?.node),
            Rule::brace => self.brace(node)?,
            _ => Part::Text(node.as_str().to_owned()),
        };
        Some(Spanned::new(part, span))
    }

    fn brace(&mut self, node: Node<'a>) -> Option<Part> {
        let inner = node.into_inner().find(|part| !is_sign(part.as_rule()))?;
        Some(match inner.as_rule() {
            Rule::alternatives => {
                let mut name = None;
                let mut texts = Vec::new();
                for part in inner.into_inner() {
                    match part.as_rule() {
                        Rule::ident => name = Some(self.word(&part)),
                        Rule::alternative => texts.push(self.plain(&part, "alternatives")?),
                        _ => {}
                    }
                }
                Part::Alternatives(name, texts)
            }
            Rule::list_of_texts => {
                let items = inner.into_inner().filter(|part| part.as_rule() == Rule::list_text);
                Part::List(items.map(|part| self.plain(&part, "the items of a list")).collect::<Option<_>>()?)
            }
            Rule::capture => {
                let mut parts = inner.into_inner().filter(|part| !is_sign(part.as_rule()));
                let name = self.word(&parts.next()?);
                let kind = match parts.next() {
                    Some(part) => Some(self.capture_kind(part.into_inner().next()?)?),
                    None => None,
                };
                Part::Capture(name, kind)
            }
            _ => Part::Arithmetic(self.expression(inner)?),
        })
    }

    fn capture_kind(&mut self, node: Node<'a>) -> Option<CaptureKind> {
        match node.as_rule() {
            Rule::any_depth => Some(CaptureKind::AnyDepth),
            Rule::range => {
                let ends = node.into_inner().filter(|part| part.as_rule() == Rule::integer);
                let mut ends = ends.map(|end| self.number::<u64>(&end));
                Some(CaptureKind::Range(ends.next()??, ends.next()??))
            }
            _ if node.as_str() == "int" => Some(CaptureKind::Int),
            _ => {
                let kind = node.as_str().to_owned();
                self.error(SyntaxErrorKind::CaptureKind { kind }, self.range(&node));
                None
            }
        }
    }

    /// An alternative or an item of a list: trimmed, and free of wildcards.
    fn plain(&mut self, node: &Node<'a>, what: &'static str) -> Option<Word> {
        let text = node.as_str().trim();
        if text.contains('*') {
            self.error(SyntaxErrorKind::NotPlain { text: text.to_owned(), what }, self.range(node));
            return None;
        }
        Some(Spanned::new(text.to_owned(), self.span(node)))
    }
}
