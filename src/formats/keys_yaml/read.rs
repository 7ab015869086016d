//! Reading a key set file.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use indexmap::map::Entry;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::FORMAT;
use super::error::{KeysYamlError, KeysYamlProblem};
use super::plain;
use super::spec::read_spec;
use crate::keyset::{Key, KeySet, Role};

/// A key set has no brackets in brackets, and the time that the YAML reader takes for them grows with
/// the square of their depth.
const MAX_BRACKETS: usize = 64;
/// How many times the bytes of the file what stands behind its keys may come to: an alias is short, and may stand for
/// much.
const MAX_REPEATED: usize = 16;

/// Reads a key set from a text; `name` is the file as the user named it.
///
/// # Errors
/// Where the text is not YAML or not a key set: a key that stands there twice, another format
/// number, a line that is no dtype and shape, a tie to what cannot be tied to.
pub fn parse(name: &str, text: &str) -> Result<KeySet, KeysYamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if bracket_depth(text) > MAX_BRACKETS {
        let problem = KeysYamlProblem::Yaml("brackets are open inside of too many others".to_owned());
        return Err(KeysYamlError { name: name.to_owned(), line: None, problem });
    }
    let mut keyset = match plain::parse(name, text) {
        Some(keyset) => keyset,
        None => by_yaml(name, text)?,
    };
    settle_roles(&mut keyset);
    check_ties(&keyset, text)?;
    Ok(keyset)
}

/// Reads whatever YAML allows.
pub(super) fn by_yaml(name: &str, text: &str) -> Result<KeySet, KeysYamlError> {
    let problem = Cell::new(None);
    let left = Cell::new(text.len().saturating_mul(MAX_REPEATED).saturating_add(1 << 20));
    let seed = Document { origin: name, problem: &problem, left: &left };
    let read = seed.deserialize(serde_yaml::Deserializer::from_str(text));
    read.map_err(|error| {
        let line = error.location().map(|location| location.line());
        let found = problem.take().unwrap_or_else(|| KeysYamlProblem::Yaml(message(&error)));
        KeysYamlError { name: name.to_owned(), line, problem: found }
    })
}

/// How many brackets are open at once at the deepest place, quotes not looked at.
fn bracket_depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// What the YAML reader says, without the place that the error names already.
fn message(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let place = error.location().map(|at| format!(" at line {} column {}", at.line(), at.column()));
    place.map_or(text.clone(), |place| text.replacen(&place, "", 1))
}

/// Where one buffer is marked, whoever wrote the file told the two apart.
fn settle_roles(keyset: &mut KeySet) {
    if keyset.keys.values().any(|info| info.role == Some(Role::Buffer)) {
        for info in keyset.keys.values_mut() {
            info.role = info.role.or(Some(Role::Parameter));
        }
    }
}

fn check_ties(keyset: &KeySet, text: &str) -> Result<(), KeysYamlError> {
    for (key, info) in keyset.iter() {
        let Some(to) = &info.tied else { continue };
        let why = match keyset.get(to) {
            None => "which is not there",
            Some(_) if key == to => "which is itself",
            Some(other) if other.tied.is_some() => "which is tied itself",
            Some(other) if other.spec != info.spec => "which has another dtype or shape",
            Some(_) => continue,
        };
        let problem = KeysYamlProblem::Tied { key: key.to_string(), to: to.to_string(), why };
        return Err(KeysYamlError { name: keyset.origin.clone(), line: line_of(text, key), problem });
    }
    Ok(())
}

/// The line on which a key seems to stand: the YAML reader forgets where keys were.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let stands = |line: &str| {
        let line = line.trim_start().trim_start_matches(['"', '\'']);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
    };
    text.lines().position(stands).map(|line| line + 1)
}

type Problem<'p> = &'p Cell<Option<KeysYamlProblem>>;

/// Keeps the problem aside, where it is not turned into text, and stops the reader.
fn stop<E: serde::de::Error>(slot: Problem<'_>, problem: KeysYamlProblem) -> E {
    let error = E::custom(&problem);
    slot.set(Some(problem));
    error
}

/// The whole file.
struct Document<'p> {
    origin: &'p str,
    problem: Problem<'p>,
    /// How many bytes of what stands behind keys may still be read.
    left: &'p Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = KeySet;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<KeySet, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = KeySet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeySet, A::Error> {
        let problem = self.problem;
        let mut keyset = KeySet::new(self.origin);
        let (mut format, mut tensors) = (false, false);
        let text = || Text(|text: &str| Ok(text.to_owned()), problem);
        while let Some(field) = map.next_key_seed(Text(known_field, problem))? {
            let twice = match field {
                "format" => std::mem::replace(&mut format, true),
                "name" => keyset.name.is_some(),
                _ => std::mem::replace(&mut tensors, true),
            };
            if twice {
                return Err(stop(problem, KeysYamlProblem::DuplicateField(field)));
            }
            match field {
                "format" => map.next_value_seed(Text(known_format, problem))?,
                "name" => keyset.name = Some(map.next_value_seed(text())?),
                _ => map.next_value_seed(Tensors { keyset: &mut keyset, problem, left: self.left })?,
            }
        }
        if !format {
            return Err(stop(problem, KeysYamlProblem::Format { found: None }));
        }
        if !tensors {
            return Err(stop(problem, KeysYamlProblem::NoTensors));
        }
        Ok(keyset)
    }
}

fn known_field(text: &str) -> Result<&'static str, KeysYamlProblem> {
    let known = ["format", "name", "tensors"].into_iter().find(|known| *known == text);
    known.ok_or_else(|| KeysYamlProblem::UnknownField(text.to_owned()))
}

fn known_format(text: &str) -> Result<(), KeysYamlProblem> {
    (text == FORMAT).then_some(()).ok_or_else(|| KeysYamlProblem::Format { found: Some(text.to_owned()) })
}

/// The map below `tensors:`.
struct Tensors<'k, 'p> {
    keyset: &'k mut KeySet,
    problem: Problem<'p>,
    left: &'p Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Tensors<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Tensors<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one line for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let keys = &mut self.keyset.keys;
        let mut ties: HashSet<Key> = HashSet::new();
        loop {
            let new = |text: &str| match keys.contains_key(text) {
                true => Err(KeysYamlProblem::DuplicateKey(text.to_owned())),
                false => Ok(Key::from(text)),
            };
            let Some(key) = map.next_key_seed(Text(new, self.problem))? else { return Ok(()) };
            let read = |text: &str| {
                let left = self.left.get().checked_sub(text.len());
                let repeated = || KeysYamlProblem::Yaml("aliases repeat more than the file holds".to_owned());
                self.left.set(left.ok_or_else(repeated)?);
                read_spec(text).map_err(|what| KeysYamlProblem::Spec { key: key.to_string(), what })
            };
            let mut info = map.next_value_seed(Text(read, self.problem))?;
            // YAML may say one long name many times in few bytes.
            if let Some(to) = info.tied.take() {
                let to = ties.get(&to).cloned().unwrap_or(to);
                ties.insert(to.clone());
                info.tied = Some(to);
            }
            if let Entry::Vacant(place) = keys.entry(key) {
                place.insert(info);
            }
        }
    }
}

/// A scalar, whatever YAML takes it for (`null`, `1.5`), and what to make of its text.
struct Text<'p, F>(F, Problem<'p>);

impl<'de, T, F: FnOnce(&str) -> Result<T, KeysYamlProblem>> DeserializeSeed<'de> for Text<'_, F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, T, F: FnOnce(&str) -> Result<T, KeysYamlProblem>> Visitor<'de> for Text<'_, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text such as `f32 [64, 3]`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(|problem| stop(self.1, problem))
    }
}
