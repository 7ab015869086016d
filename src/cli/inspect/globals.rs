//! What the names that torch's weights-only loader refuses could do, and how they are listed.

use serde_json::{Value, json};

use crate::formats::Refused;
use crate::printable::printable;
use crate::table::Table;

/// Modules whose functions reach files, commands or code: no checkpoint needs them.
const REACHING_OUT: &[&str] = &[
    "asyncio",
    "bdb",
    "code",
    "commands",
    "ctypes",
    "ftplib",
    "functools",
    "http",
    "httplib",
    "imp",
    "importlib",
    "multiprocessing",
    "nt",
    "ntpath",
    "operator",
    "os",
    "pdb",
    "pickle",
    "pip",
    "posix",
    "posixpath",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "shutil",
    "signal",
    "site",
    "smtplib",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "timeit",
    "urllib",
    "urllib2",
    "venv",
    "webbrowser",
];

/// The builtins that make plain values; all others (`eval`, `getattr`, `open`) do more.
const PLAIN_BUILTINS: &[&str] = &[
    "Ellipsis",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];

/// The names, and what else is refused, as sections of a text; the lists in which nothing may be hidden.
pub(super) fn lines(refused: &Refused) -> [Vec<String>; 2] {
    let mut names = Table::new();
    for name in &refused.globals {
        let mark = if reaches_out(name) { "can reach files, commands or code" } else { "" };
        names.row([printable(name), mark.to_owned()]);
    }
    let uses = refused.uses.iter().map(|what| format!("  {}", printable(what)));
    let section = |title: &str, lines: Vec<String>| match lines.is_empty() {
        true => lines,
        false => [vec![title.to_owned()], lines].concat(),
    };
    [
        section(
            "classes and functions beyond torch's weights_only allow-list (named in the file, not executed)",
            names.lines("  "),
        ),
        section("what else torch's weights_only does not load", uses.collect()),
    ]
}

/// The same for programs: each in a few words.
pub(super) fn to_json(refused: &Refused) -> Value {
    let globals = refused.globals.iter().map(|name| format!("the global {name}"));
    json!(globals.chain(refused.uses.iter().cloned()).collect::<Vec<String>>())
}

/// Whether a name can reach files, commands or code when something loads it.
pub(super) fn reaches_out(name: &str) -> bool {
    let (module, rest) = name.split_once('.').unwrap_or_default();
    match module {
        "builtins" | "__builtin__" => !PLAIN_BUILTINS.contains(&rest),
        _ => REACHING_OUT.contains(&module),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_names_reach_further_than_others() {
        for name in ["os.system", "builtins.eval", "posix.system", "__builtin__.exec", "subprocess.Popen"] {
            assert!(reaches_out(name), "{name}");
        }
        for name in
            ["set", "torch.load", "numpy.dtype", "models.Net", "builtins.dict", "copyreg extension 7", ""]
        {
            assert!(!reaches_out(name), "{name}");
        }
    }
}
