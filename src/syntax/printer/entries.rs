//! A rule file as its reader sees it: lines, comments, blank lines and blocks, in order.

use std::ops::Range;

use crate::syntax::error::SyntaxError;
use crate::syntax::lines::{self, Cut};

use super::tokens::{self, Comment, Form, Line};

/// What stands in a file or a block.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// One or more empty lines.
    Blank,
    /// A comment with a line of its own.
    Comment(&'a str),
    /// A logical line, with the comment at its end.
    Line(Line<'a>, Option<&'a str>),
    /// A header with what it holds.
    Block(Block<'a>),
}

/// `rename { … }` and the like.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// What stands before `{`.
    pub header: Line<'a>,
    /// The comment behind `{`.
    pub opened: Option<&'a str>,
    /// What stands inside.
    pub body: Vec<Entry<'a>>,
    /// The comment behind `}`.
    pub closed: Option<&'a str>,
}

/// Reads a text that parses; `plain` is the text without its comments.
///
/// # Errors
/// Where it does not parse.
pub(super) fn of<'a>(text: &'a str, plain: &'a str, cut: &Cut) -> Result<Vec<Entry<'a>>, Vec<SyntaxError>> {
    let mut reader = Reader { text, plain, comments: &cut.comments, at: 0 };
    let mut entries = reader.lines(&cut.lines, Form::Line)?;
    reader.between(text.len(), &mut entries);
    Ok(entries)
}

struct Reader<'a, 'c> {
    text: &'a str,
    plain: &'a str,
    /// The comments that were not read yet.
    comments: &'c [Range<usize>],
    /// How far the text was read.
    at: usize,
}

impl<'a> Reader<'a, '_> {
    fn lines(&mut self, lines: &[lines::Line], form: Form) -> Result<Vec<Entry<'a>>, Vec<SyntaxError>> {
        let mut entries = Vec::new();
        for line in lines {
            self.between(line.range.start, &mut entries);
            let Some(block) = &line.block else {
                let read = self.line(&line.range, form)?;
                entries.push(Entry::Line(read, self.comment_behind()));
                continue;
            };
            let header = self.line(&line.range, Form::Header)?;
            self.at = self.next_sign() + 1; // behind `{`
            let opened = self.comment_behind();
            let form = if header.statement { Form::Clause } else { Form::Line };
            let mut body = self.lines(block, form)?;
            let close = self.next_sign();
            self.between(close, &mut body);
            self.at = close + 1;
            entries.push(Entry::Block(Block { header, opened, body, closed: self.comment_behind() }));
        }
        Ok(entries)
    }

    /// Reads the tokens of a logical line, and gives each the comments behind it.
    fn line(&mut self, range: &Range<usize>, form: Form) -> Result<Line<'a>, Vec<SyntaxError>> {
        let mut line = tokens::of(self.plain, range, form)?;
        while let Some(comment) = self.next_comment(range.end) {
            let before = line.tokens.partition_point(|token| token.start < comment.start);
            if let Some(token) = before.checked_sub(1).and_then(|index| line.tokens.get_mut(index)) {
                let own_line = self.begins_its_line(comment.start);
                token.comments.push(Comment { text: self.slice(&comment), own_line });
            }
        }
        self.at = range.end;
        Ok(line)
    }

    /// Reads comments and empty lines up to `end`.
    fn between(&mut self, end: usize, entries: &mut Vec<Entry<'a>>) {
        while let Some(comment) = self.next_comment(end) {
            self.blank(comment.start, entries);
            entries.push(Entry::Comment(self.slice(&comment)));
            self.at = comment.end;
        }
        self.blank(end, entries);
        self.at = end;
    }

    /// Notes empty lines between what was read and `end`.
    fn blank(&self, end: usize, entries: &mut Vec<Entry<'a>>) {
        let breaks = self.plain.get(self.at..end).unwrap_or_default().matches('\n').count();
        if breaks > 1 {
            entries.push(Entry::Blank);
        }
    }

    /// Reads the comment on the line where the last thing that was read ends.
    fn comment_behind(&mut self) -> Option<&'a str> {
        let comment = self.comments.first()?;
        let between = self.plain.get(self.at..comment.start)?;
        if between.contains('\n') || !between.trim().is_empty() {
            return None;
        }
        let comment = self.next_comment(comment.end)?;
        self.at = comment.end;
        Some(self.slice(&comment))
    }

    /// Takes the next comment that begins before `end`.
    fn next_comment(&mut self, end: usize) -> Option<Range<usize>> {
        let (comment, rest) = self.comments.split_first()?;
        if comment.start >= end {
            return None;
        }
        self.comments = rest;
        Some(comment.clone())
    }

    /// Where the next thing stands that is neither white space nor a comment.
    fn next_sign(&self) -> usize {
        let rest = self.plain.get(self.at..).unwrap_or_default();
        self.at + (rest.len() - rest.trim_start().len())
    }

    fn begins_its_line(&self, at: usize) -> bool {
        let before = self.text.get(..at).unwrap_or_default();
        before.trim_end_matches([' ', '\t', '\r']).ends_with('\n')
    }

    fn slice(&self, range: &Range<usize>) -> &'a str {
        self.text.get(range.clone()).unwrap_or_default().trim_end()
    }
}
