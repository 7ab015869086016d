//! Key sets as they are nearly always written, read line by line.
//!
//! YAML's own reader makes a tree of events first, which takes seconds and a gigabyte for a million keys. A file
//! whose every line means the same to YAML and to the eye needs none of that.

use indexmap::map::Entry;

use super::FORMAT;
use super::spec::read_spec;
use crate::keyset::{Key, KeySet};

/// YAML wants the colon of a key on one line within this many bytes.
const MAX_KEY: usize = 1000;

/// Reads a key set in which all is written plainly; `None` where anything is not, and YAML must say what it
/// means or what is wrong with it.
pub(super) fn parse(origin: &str, text: &str) -> Option<KeySet> {
    let mut keyset = KeySet::new(origin);
    let mut lines = text.lines().filter(|line| !line.is_empty() && !is_comment(line));
    if lines.next()?.strip_prefix("format: ")? != FORMAT {
        return None;
    }
    let mut line = lines.next()?;
    if let Some(name) = line.strip_prefix("name: ") {
        keyset.name = Some(name.to_owned()).filter(|_| is_plain_key(name));
        keyset.name.as_ref()?;
        line = lines.next()?;
    }
    if line != "tensors:" {
        return None;
    }
    for line in lines {
        let (key, spec) = line.strip_prefix("  ")?.split_once(": ")?;
        if !is_plain_key(key) || !is_plain_spec(spec) {
            return None;
        }
        match keyset.keys.entry(Key::from(key)) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => drop(place.insert(read_spec(spec).ok()?)),
        }
    }
    (!keyset.is_empty()).then_some(keyset)
}

/// Whether a line is a comment that YAML, too, reads as one and without complaint.
fn is_comment(line: &str) -> bool {
    line.starts_with('#') && line.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether a key begins and goes on with characters that mean nothing to YAML.
fn is_plain_key(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    key.len() <= MAX_KEY
        && key.bytes().next().is_some_and(word)
        && key.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'/' | b'-'))
}

/// Whether what stands behind a key is of characters that mean nothing to YAML behind a letter.
fn is_plain_spec(spec: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-' | b' ');
    spec.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && !spec.ends_with(' ')
        && spec.bytes().all(|byte| safe(byte) || matches!(byte, b'[' | b']' | b','))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read::by_yaml;
    use super::parse;

    /// Lines of key sets, most of them plain, in any order.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "  [a-z0-9_][a-zé0-9_./-]{0,6}: f32 \\[[0-9, ]{0,4}\\]( buffer| parameter| tied [ab])?",
            1 => "  (null|true|1\\.5|0x1f|~|<<|1e3|2001-01-01|y): (i64|bool|object)( \\[\\])?",
            1 => "[ #:a-z0-9\\[\\]\"'&*?\r\t\u{1}\u{2028}-]{0,9}",
            1 => Just("# a comment".to_owned()),
            1 => Just(String::new()),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_line_by_line_is_what_yaml_reads(
            name in "(name: [a-z0-9.:~ ]{1,4}\n)?",
            lines in proptest::collection::vec(line(), 1..6),
            end in "(\n|\r\n|\n\n)",
        ) {
            let text = format!("format: 1\n{name}tensors:\n{}{end}", lines.join(end.trim_end_matches("\n\n")));
            if let Some(read) = parse("x", &text) {
                let by_yaml = by_yaml("x", &text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
                prop_assert_eq!(read.name, by_yaml.name);
                prop_assert_eq!(read.keys.into_iter().collect::<Vec<_>>(), by_yaml.keys.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
