//! The canonical text of rule files.
//!
//! Only white space and trailing commas change: [`format`] takes the tokens of a text as they are and lays
//! them out anew, so that numbers, quotes and brackets stay as they were written, and comments stay where
//! they were. [`print`] writes a tree that never was a text, and lays it out the same way.

mod entries;
mod fold;
mod layout;
mod tokens;
mod write;

use super::ast::Ast;
use super::error::SyntaxError;
use super::{lines, parser};

/// How wide a line may be.
const WIDTH: usize = 100;

/// The canonical text of a rule file.
///
/// # Errors
/// What does not parse: such a text has no canonical form.
pub fn format(text: &str) -> Result<String, Vec<SyntaxError>> {
    let (_, errors) = parser::parse(text, 0);
    if !errors.is_empty() {
        return Err(errors);
    }
    let cut = lines::cut(text, &mut Vec::new());
    let plain = cut.without_comments(text);
    Ok(layout::text(&entries::of(text, &plain, &cut)?))
}

/// The canonical text of a tree, such as one whose statements were made and not read.
///
/// What parsing takes away (brackets, quotes) is written where the meaning needs it. A tree that no text
/// means, such as a statement without keys, gives a text that does not parse.
pub fn print(ast: &Ast) -> String {
    let text = write::text(ast);
    format(&text).unwrap_or(text)
}

#[cfg(test)]
mod tests;
