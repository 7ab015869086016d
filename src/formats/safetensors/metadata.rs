//! Changes to the `__metadata__` of a safetensors file: texts by key.

use indexmap::IndexMap;

use crate::edit::{Change, Edit, Plain, path_text};
use crate::formats::EditError;

/// Metadata, and what each edited value of it was.
type Edited = (IndexMap<String, String>, Vec<Option<String>>);

/// The metadata after edits, and what each value was, where there was one.
///
/// A path is one key: `a.b` is the key `a.b`.
///
/// # Errors
/// The first edit that names no key, or gives a value that is no text.
pub(in crate::formats) fn edited(
    metadata: &IndexMap<String, String>,
    edits: &[Edit],
) -> Result<Edited, EditError> {
    let mut metadata = metadata.clone();
    let mut old = Vec::with_capacity(edits.len());
    for (index, edit) in edits.iter().enumerate() {
        let wrong = |what: &str, there: Vec<String>| EditError {
            index,
            value: path_text(&edit.path),
            what: what.to_owned(),
            there,
        };
        let key = edit.path.join(".");
        let was = match &edit.change {
            Change::Set(Plain::Text(text)) => metadata.insert(key, text.clone()),
            Change::Set(_) => {
                return Err(wrong(
                    "is given a value that is no text: safetensors metadata holds texts",
                    vec![],
                ));
            }
            Change::Unset | Change::Move(_) => {
                let was = metadata.shift_remove(&key);
                if was.is_none() && !edit.optional {
                    let there = metadata.keys().cloned().collect();
                    return Err(wrong("is no key of the metadata", there));
                }
                was
            }
        };
        if let (Change::Move(to), Some(value)) = (&edit.change, &was)
            && metadata.insert(to.join("."), value.clone()).is_some()
        {
            return Err(wrong(
                &format!("cannot go to `{}`: there is a value already", path_text(to)),
                vec![],
            ));
        }
        old.push(was.map(|text| format!("{text:?}")));
    }
    Ok((metadata, old))
}
