//! JSON as it is put out: the same to a parser, and nothing but text to whoever shows it.
//!
//! Keys come from strangers. `serde_json` escapes what JSON must have escaped, and no more: not the controls of
//! eight bits, nor what turns the reading direction.

use std::fmt::Write as _;

use serde_json::Value;

use crate::printable::disturbs;

/// JSON for a program or a person at a terminal, a line for each value.
pub(super) fn pretty(value: &Value) -> String {
    escaped(&format!("{value:#}\n"), |char| char == '\n' || !disturbs(char))
}

/// JSON to stand inside of a page: no markup, and plain ASCII.
pub(super) fn inert(value: &Value) -> String {
    escaped(&value.to_string(), |char| {
        char.is_ascii_graphic() && !matches!(char, '<' | '>' | '&') || char == ' '
    })
}

/// A text of JSON in which only some characters stand for themselves.
fn escaped(json: &str, stands: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if stands(char) {
            text.push(char);
            continue;
        }
        // Such characters stand within strings alone, where JSON knows UTF-16 by number.
        for unit in char.encode_utf16(&mut [0; 2]) {
            // Writing into a String cannot fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_comes_back_from_both(text in "\\PC*|.*") {
            let value = Value::from(text.as_str());
            for json in [pretty(&value), inert(&value)] {
                prop_assert_eq!(&serde_json::from_str::<Value>(&json).unwrap(), &value);
            }
            prop_assert!(inert(&value).chars().all(|char| char == ' ' || char.is_ascii_graphic()));
            prop_assert!(!pretty(&value).trim_end().contains(disturbs));
        }
    }
}
