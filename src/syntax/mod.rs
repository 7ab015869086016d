//! Rule files as text: from characters to an [`Ast`](ast::Ast) in which every part has its place.
//!
//! Nothing here knows what a verb means or has seen a key.

pub mod ast;
mod error;
mod expected;
mod expressions;
mod globs;
mod lines;
mod parser;
mod printer;

pub use error::{SyntaxError, SyntaxErrorKind};
pub use parser::{parse, parse_value};
pub use printer::{format, print};
