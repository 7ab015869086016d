//! Lists in patterns: `{q,k,v}` makes several patterns of one, and `under` puts a prefix before each.

use super::error::{RuleError, RuleErrorKind};
use super::pattern::{Names, Pattern};
use crate::source::Sources;
use crate::syntax::ast::{Glob, GlobKind, Part, Spanned};

/// A pattern or template after its list was written out, with its text for messages.
pub(super) struct Written {
    pub glob: Glob,
    pub text: String,
}

/// Puts the prefix before a pattern, and writes its list out.
///
/// # Errors
/// Two lists, and a regular expression under a prefix.
pub(super) fn write_out(
    glob: &Glob,
    prefix: Option<&Glob>,
    sources: &Sources,
) -> Result<Vec<Written>, RuleError> {
    let glob = prefixed(glob, prefix)?;
    let GlobKind::Parts(parts) = &glob.kind else {
        let text = sources.slice(glob.span).to_owned();
        return Ok(vec![Written { glob, text }]);
    };
    let mut lists = parts.iter().enumerate().filter(|(_, part)| matches!(part.node, Part::List(_)));
    let first = lists.next();
    if let Some((_, second)) = lists.next() {
        return Err(Spanned::new(RuleErrorKind::TwoLists, second.span));
    }
    let Some((at, Spanned { node: Part::List(items), .. })) = first else {
        let text = text(parts, sources);
        return Ok(vec![Written { glob, text }]);
    };
    let written = items.iter().map(|item| {
        let mut parts = parts.clone();
        parts[at] = Spanned::new(Part::Text(item.node.clone()), item.span);
        let text = text(&parts, sources);
        Written { glob: Glob { kind: GlobKind::Parts(parts), span: glob.span }, text }
    });
    Ok(written.collect())
}

/// The list in a pattern, where there is one: `q,k,v`.
pub(super) fn list_of(glob: &Glob) -> Option<Vec<String>> {
    let GlobKind::Parts(parts) = &glob.kind else { return None };
    parts.iter().find_map(|part| match &part.node {
        Part::List(items) => Some(items.iter().map(|item| item.node.clone()).collect()),
        _ => None,
    })
}

/// The nameless alternatives in a pattern, where there are some: `q|k|v`.
pub(super) fn alternatives_of(glob: &Glob) -> Option<Vec<String>> {
    let GlobKind::Parts(parts) = &glob.kind else { return None };
    parts.iter().find_map(|part| match &part.node {
        Part::Alternatives(None, texts) => Some(texts.iter().map(|text| text.node.clone()).collect()),
        _ => None,
    })
}

/// The pattern with the prefix and a dot before it; its place stays its own.
pub(super) fn prefixed(glob: &Glob, prefix: Option<&Glob>) -> Result<Glob, RuleError> {
    let Some(prefix) = prefix else { return Ok(glob.clone()) };
    match (&prefix.kind, &glob.kind) {
        (GlobKind::Parts(before), GlobKind::Parts(parts)) => {
            let dot = Spanned::new(Part::Dot, prefix.span);
            let parts = before.iter().chain([&dot]).chain(parts).cloned().collect();
            Ok(Glob { kind: GlobKind::Parts(parts), span: glob.span })
        }
        (GlobKind::Regex(_), _) => Err(Spanned::new(RuleErrorKind::RegexUnder, prefix.span)),
        _ => Err(Spanned::new(RuleErrorKind::RegexUnder, glob.span)),
    }
}

fn text(parts: &[Spanned<Part>], sources: &Sources) -> String {
    let texts = parts.iter().map(|part| match &part.node {
        Part::Dot => ".",
        _ => sources.slice(part.span),
    });
    texts.collect()
}

/// Builds the patterns that a written pattern stands for.
///
/// # Errors
/// As [`write_out`] and [`Pattern::new`].
pub fn glob_pattern(
    glob: &Glob,
    prefix: Option<&Glob>,
    sources: &Sources,
    names: &Names,
) -> Result<Vec<Pattern>, RuleError> {
    let written = write_out(glob, prefix, sources)?;
    written.into_iter().map(|written| Pattern::new(&written.glob, written.text, names)).collect()
}
