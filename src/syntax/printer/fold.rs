//! One logical line on one or several lines of text.

use super::WIDTH;
use super::layout::Printed;
use super::tokens::{Role, Token};

/// How far a continued line stands in.
const CONTINUED: usize = 4;

/// Tokens on one line, without their comments.
pub(super) fn flat(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        if !text.is_empty() && !token.glued {
            text.push(' ');
        }
        text.push_str(token.text);
    }
    text
}

/// How many columns a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Whether there is a comment between the tokens, which then take more than one line.
pub(super) fn has_comments(tokens: &[Token]) -> bool {
    tokens.split_last().is_some_and(|(_, rest)| rest.iter().any(|token| !token.comments.is_empty()))
}

/// The lines of a logical line that stands in by `indent`, followed by `end` (the ` {` of a block).
///
/// A line goes on before `->`, `where` and `except`, and after commas: those of the outermost list first,
/// and as many items on a line as it holds. Other places are no option, as most of them would end the
/// logical line.
pub(super) fn fold<'a>(tokens: &[Token<'a>], indent: usize, end: &str) -> Vec<Printed<'a>> {
    let mut folder = Folder { lines: Vec::new(), code: String::new(), indent, width: WIDTH - end.len() };
    let mut rest = tokens;
    while let Some((first, behind)) = rest.split_first() {
        let begins = |token: &Token| matches!(token.role, Role::Arrow | Role::Condition);
        let next = behind.iter().position(begins).map_or(rest.len(), |at| at + 1);
        let (part, others) = rest.split_at(next);
        if begins(first) && !folder.takes(part) {
            folder.end_line();
        }
        folder.fill(part, 0);
        rest = others;
    }
    folder.code.push_str(end);
    folder.end_line();
    folder.lines
}

struct Folder<'a> {
    lines: Vec<Printed<'a>>,
    /// The line that is being filled; empty where nothing stands in it.
    code: String,
    indent: usize,
    width: usize,
}

impl<'a> Folder<'a> {
    /// Puts tokens behind those that stand there, broken at commas at `depth` and deeper where they must be.
    fn fill(&mut self, tokens: &[Token<'a>], depth: usize) {
        let deeper = tokens.iter().any(|token| token.role == Role::Comma && token.depth >= depth);
        if self.holds(tokens) || !deeper {
            tokens.iter().for_each(|token| self.put(token));
            return;
        }
        for item in tokens.split_inclusive(|token| token.role == Role::Comma && token.depth == depth) {
            if !self.holds(item) && self.fresh_line_holds(item) {
                self.end_line();
            }
            self.fill(item, depth + 1);
        }
    }

    fn put(&mut self, token: &Token<'a>) {
        if self.code.is_empty() {
            let closes = matches!(token.text, ")" | "]" | "}");
            self.code = " ".repeat(if closes { self.indent } else { self.margin() });
        } else if !token.glued {
            self.code.push(' ');
        }
        self.code.push_str(token.text);
        for comment in &token.comments {
            if comment.own_line {
                self.end_line();
                self.lines.push(Printed::new(" ".repeat(self.margin()) + comment.text, None));
            } else {
                let code = std::mem::take(&mut self.code);
                self.lines.push(Printed::new(code, Some(comment.text)));
            }
        }
    }

    /// Whether `->`, `where` or `except` goes on the line that is being filled: the first of the statement,
    /// or the one that only ends a list.
    fn takes(&self, part: &[Token]) -> bool {
        let until_comment = part.split_inclusive(|token| !token.comments.is_empty()).next();
        let ends_list = self.code.trim_start().chars().all(|sign| ")]}".contains(sign));
        (self.lines.is_empty() || ends_list) && until_comment.is_none_or(|tokens| self.holds(tokens))
    }

    /// Ends the line that is being filled. A lone `}` would close a block, so what follows stays with it.
    fn end_line(&mut self) {
        if !self.code.is_empty() && self.code.trim() != "}" {
            self.lines.push(Printed::new(std::mem::take(&mut self.code), None));
        }
    }

    fn margin(&self) -> usize {
        if self.lines.is_empty() { self.indent } else { self.indent + CONTINUED }
    }

    /// Whether tokens fit behind those that stand on the line.
    fn holds(&self, tokens: &[Token]) -> bool {
        let before = if self.code.is_empty() { self.margin() } else { columns(&self.code) + 1 };
        !has_comments(tokens) && before + columns(&flat(tokens)) <= self.width
    }

    fn fresh_line_holds(&self, tokens: &[Token]) -> bool {
        !has_comments(tokens) && self.indent + CONTINUED + columns(&flat(tokens)) <= self.width
    }
}
