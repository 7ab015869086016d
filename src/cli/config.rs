//! A model's `config.json`, whose values rules use as `config.hidden_size`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::rules::value::Value;

use super::{Exit, Failure};

/// A configuration is a few kilobytes.
const MAX_CONFIG: u64 = 16 << 20;

/// Reads a configuration: nested objects are joined with dots; what is neither a number, a text, a truth
/// value nor a list of them has no name.
///
/// # Errors
/// Where the file cannot be read or is no JSON object.
pub(super) fn load(path: &Path) -> Result<HashMap<String, Value>, Failure> {
    let wrong = |what: String| {
        let message = format!("cannot read the configuration `{}`: {what}", path.display());
        Failure::new(Exit::Usage, Diagnostic::error("config", message))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    file.take(MAX_CONFIG + 1).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > MAX_CONFIG {
        return Err(wrong(format!("it has more than {} MiB", MAX_CONFIG >> 20)));
    }
    let json: Json = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if !json.is_object() {
        return Err(wrong("it is no JSON object".to_owned()));
    }
    let mut values = HashMap::new();
    collect("", &json, &mut values);
    Ok(values)
}

fn collect(prefix: &str, json: &Json, values: &mut HashMap<String, Value>) {
    for (key, json) in json.as_object().into_iter().flatten() {
        let name = format!("{prefix}{key}");
        if json.is_object() {
            collect(&format!("{name}."), json, values);
        } else if let Some(value) = value(json) {
            values.insert(name, value);
        }
    }
}

fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(value) => Some(Value::Bool(*value)),
        Json::Number(number) => number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::Float)),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Array(values) => values.iter().map(value).collect::<Option<Vec<Value>>>().map(Value::List),
        Json::Null | Json::Object(_) => None,
    }
}
