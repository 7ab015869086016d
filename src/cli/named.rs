//! Files under names of their own: `r0=mp_00.pth`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// A file as the command line names it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// What stands before its keys in the rules.
    pub name: Option<String>,
    /// The file.
    pub path: PathBuf,
}

impl Named {
    /// Reads `NAME=PATH` or `PATH`; a path with `=` is told apart by a `/` before it (`./a=b.pt`).
    pub fn parser() -> impl TypedValueParser<Value = Named> {
        OsStringValueParser::new().map(Named::from)
    }
}

impl From<OsString> for Named {
    fn from(text: OsString) -> Named {
        let name = text.to_str().and_then(|text| text.split_once('=')).filter(|(name, path)| {
            let first = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
            first && !path.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        match name {
            Some((name, path)) => Named { name: Some(name.to_owned()), path: PathBuf::from(path) },
            None => Named { name: None, path: PathBuf::from(text) },
        }
    }
}
