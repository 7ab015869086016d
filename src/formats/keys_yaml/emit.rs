//! Writing a key set file.

use std::fmt::Write as _;

use super::FORMAT;
use super::spec::write_spec;
use crate::keyset::{KeySet, Role};

/// YAML reads no key of more characters than this before its colon, unless a `?` announces it.
const MAX_IMPLICIT_KEY: usize = 1000;

/// The text of a key set, one line a tensor, which [`parse`](super::parse) reads as the same.
///
/// Keys are quoted only where YAML needs it.
pub fn emit(keyset: &KeySet) -> String {
    let mut text = format!("format: {FORMAT}\n");
    if let Some(name) = &keyset.name {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "name: {}", scalar(name));
    }
    if keyset.is_empty() {
        text.push_str("tensors: {}\n");
        return text;
    }
    text.push_str("tensors:\n");
    let roles = Roles::of(keyset);
    for (key, info) in keyset.iter() {
        let spec = write_spec(info, roles.shown(info.role));
        let plain = info.tied.as_deref().is_none_or(|to| to == scalar(to));
        let spec = if plain { spec } else { quoted(&spec) };
        let key = scalar(key);
        let _ = if key.chars().count() > MAX_IMPLICIT_KEY {
            writeln!(text, "  ? {key}\n  : {spec}")
        } else {
            writeln!(text, "  {key}: {spec}")
        };
    }
    text
}

/// Which roles have to be written so that none is read that is not known.
#[derive(Clone, Copy)]
enum Roles {
    /// All are known, and the buffers tell which are parameters.
    Buffers,
    /// Not all are known, or there are no buffers: parameters are marked one by one.
    Parameters,
}

impl Roles {
    fn of(keyset: &KeySet) -> Self {
        let mut roles = keyset.keys.values().map(|info| info.role);
        let all_known = roles.clone().all(|role| role.is_some());
        if all_known && roles.any(|role| role == Some(Role::Buffer)) {
            Roles::Buffers
        } else {
            Roles::Parameters
        }
    }

    fn shown(self, role: Option<Role>) -> Option<Role> {
        match self {
            Roles::Buffers => role.filter(|role| *role == Role::Buffer),
            Roles::Parameters => role.filter(|role| *role == Role::Parameter),
        }
    }
}

/// A text as a YAML scalar: plain where that means the same to every YAML reader, else quoted.
fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    let safe = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.' | '/' | '-');
    let Some(first) = text.chars().next() else { return false };
    text.chars().all(safe)
        && match first {
            '0'..='9' => has_letter_of_no_number(text),
            _ => (first.is_alphabetic() || first == '_') && !is_word_of_yaml(text),
        }
}

/// Whether a text that begins with a digit (`0.weight`) has a letter that no number or date has.
fn has_letter_of_no_number(text: &str) -> bool {
    text.chars().any(|char| char.is_alphabetic() && !"abcdefxotzABCDEFXOTZ".contains(char))
}

/// The words that some version of YAML takes for something else than text.
fn is_word_of_yaml(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether as many brackets are closed as are opened.
fn is_balanced(text: &str) -> bool {
    let count = |brackets: [char; 2]| text.chars().filter(|char| brackets.contains(char)).count();
    count(['[', '{']) <= count([']', '}'])
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let balanced = is_balanced(text);
    for char in text.chars() {
        let code = u32::from(char);
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // The reader stops at many open brackets, and does not look whether they are quoted.
            '[' | '{' if !balanced => drop(write!(quoted, "\\x{code:02x}")),
            ' '..='~' => quoted.push(char),
            _ if char.is_alphanumeric() => quoted.push(char),
            // What cannot be seen or what YAML forbids is written by number.
            _ => drop(match code {
                0..=0xff => write!(quoted, "\\x{code:02x}"),
                0x100..=0xffff => write!(quoted, "\\u{code:04x}"),
                _ => write!(quoted, "\\U{code:08x}"),
            }),
        }
    }
    quoted.push('"');
    quoted
}
