//! Entries in lines of text: blocks stand in, columns stand below one another.

use super::WIDTH;
use super::entries::{Block, Entry};
use super::fold::{columns, flat, fold, has_comments};
use super::tokens::{Line, Role};

/// How far the lines of a block stand in.
const INDENT: usize = 2;

/// A line of text.
#[derive(Debug)]
pub(super) struct Printed<'a> {
    code: String,
    comment: Option<&'a str>,
}

impl<'a> Printed<'a> {
    /// A line with the comment at its end.
    pub fn new(code: String, comment: Option<&'a str>) -> Self {
        Printed { code, comment }
    }
}

/// The text of a file.
pub(super) fn text(entries: &[Entry]) -> String {
    let mut lines = Vec::new();
    body(entries, 0, &mut lines);
    // Comments at the ends of adjacent lines stand in one column.
    let mut text = String::new();
    let beside = |first: &Printed, second: &Printed| {
        let commented = first.comment.is_some() && second.comment.is_some();
        commented && indent_of(&first.code) == indent_of(&second.code)
    };
    for group in lines.chunk_by(beside) {
        let widest = group.iter().map(|line| columns(&line.code)).max().unwrap_or_default();
        let longest = group.iter().filter_map(|line| line.comment).map(columns).max().unwrap_or_default();
        let column = if widest + 2 + longest <= WIDTH { widest } else { 0 };
        for Printed { code, comment } in group {
            match comment {
                Some(comment) => text.push_str(&format!("{code:column$}  {comment}\n")),
                None => text.push_str(&format!("{code}\n")),
            }
        }
    }
    text
}

fn indent_of(code: &str) -> usize {
    code.len() - code.trim_start_matches(' ').len()
}

/// The lines of a file or a block.
fn body<'a>(mut entries: &[Entry<'a>], indent: usize, lines: &mut Vec<Printed<'a>>) {
    // Empty lines part what stands on both sides of them.
    while let [Entry::Blank, rest @ ..] | [rest @ .., Entry::Blank] = entries {
        entries = rest;
    }
    let row = |entry: &Entry<'a>| Row::of(entry, indent).is_some();
    for run in entries.chunk_by(|first, second| row(first) && row(second)) {
        let rows: Vec<Row> = run.iter().filter_map(|entry| Row::of(entry, indent)).collect();
        if rows.len() == run.len() {
            lines.extend(table(&rows, indent));
            continue;
        }
        for entry in run {
            match entry {
                Entry::Blank => lines.push(Printed::new(String::new(), None)),
                Entry::Comment(comment) => lines.push(Printed::new(" ".repeat(indent) + comment, None)),
                Entry::Line(line, comment) => {
                    lines.extend(fold(&line.tokens, indent, ""));
                    close(lines, *comment);
                }
                Entry::Block(block) => block_lines(block, indent, lines),
            }
        }
    }
}

fn block_lines<'a>(block: &Block<'a>, indent: usize, lines: &mut Vec<Printed<'a>>) {
    lines.extend(fold(&block.header.tokens, indent, " {"));
    close(lines, block.opened);
    body(&block.body, indent + INDENT, lines);
    lines.push(Printed::new(" ".repeat(indent) + "}", block.closed));
}

/// Gives the last line its comment.
fn close<'a>(lines: &mut [Printed<'a>], comment: Option<&'a str>) {
    if let Some(last) = lines.last_mut() {
        last.comment = comment;
    }
}

/// A statement on one line, in the columns of a run of them.
struct Row<'a> {
    /// The verb; empty in a block of a verb.
    verb: String,
    /// What stands before `->` or `=`.
    keys: String,
    /// Which of the two follows, if one does.
    sign: Option<Role>,
    /// The rest, from that sign on.
    rest: String,
    comment: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// The row of a statement that fits on one line.
    fn of(entry: &Entry<'a>, indent: usize) -> Option<Row<'a>> {
        let Entry::Line(Line { tokens, statement: true }, comment) = entry else { return None };
        if has_comments(tokens) || indent + columns(&flat(tokens)) > WIDTH {
            return None;
        }
        let (verb, clause) = tokens.split_at(tokens.partition_point(|token| token.role == Role::Verb));
        let sign = clause.iter().position(|token| matches!(token.role, Role::Arrow | Role::Assign));
        let (keys, rest) = clause.split_at(sign.unwrap_or(clause.len()));
        let sign = rest.first().map(|token| token.role);
        Some(Row { verb: flat(verb), keys: flat(keys), sign, rest: flat(rest), comment: *comment })
    }

    fn code(&self, widths: &Widths, indent: usize) -> String {
        let (verb, keys) = (widths.verb, self.sign.map_or(0, |sign| widths.keys(sign)));
        let cells = [format!("{:verb$}", self.verb), format!("{:keys$}", self.keys), self.rest.clone()];
        let cells: Vec<String> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
        " ".repeat(indent) + &cells.join(" ")
    }
}

/// How wide the columns of a run are.
#[derive(Default)]
struct Widths {
    verb: usize,
    before_arrow: usize,
    before_assign: usize,
}

impl Widths {
    fn keys(&self, sign: Role) -> usize {
        if sign == Role::Arrow { self.before_arrow } else { self.before_assign }
    }
}

/// Adjacent statements with their columns below one another: the arrows too where all then fit into the
/// width, else the keys alone, else nothing.
fn table<'a>(rows: &[Row<'a>], indent: usize) -> Vec<Printed<'a>> {
    // `{:width$}` counts characters, as `columns` does.
    let verb = rows.iter().map(|row| columns(&row.verb)).max().unwrap_or_default();
    let keys = |sign: Role| {
        let rows = rows.iter().filter(|row| row.sign == Some(sign));
        rows.map(|row| columns(&row.keys)).max().unwrap_or_default()
    };
    let all = Widths { verb, before_arrow: keys(Role::Arrow), before_assign: keys(Role::Assign) };
    let choices = [all, Widths { verb, ..Widths::default() }, Widths::default()];
    let fits = |widths: &&Widths| rows.iter().all(|row| columns(&row.code(widths, indent)) <= WIDTH);
    let widths = choices.iter().find(fits).unwrap_or(&choices[2]);
    rows.iter().map(|row| Printed::new(row.code(widths, indent), row.comment)).collect()
}
