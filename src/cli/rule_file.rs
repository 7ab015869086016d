//! Rule files from disk to a rule set, with everything that is wrong told at once.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::rules::{self, Given, RuleErrorKind, RuleSet};
use crate::source::Sources;
use crate::syntax::{self, ast::Expr};

use super::{Exit, Failure, config};

/// A rule file larger than this is not one.
const MAX_RULES: u64 = 64 << 20;

/// A rule file that parses and resolves.
pub(super) struct RuleFile {
    pub rules: RuleSet,
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
}

/// Reads a rule file; `set` holds `NAME=VALUE` from the command line, `config` is a model's `config.json`.
///
/// # Errors
/// Where it cannot be read, does not parse or does not resolve.
pub(super) fn load(path: &Path, set: &[String], config: Option<&Path>) -> Result<RuleFile, Failure> {
    let text = read(path)?;
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), text);
    let set = set.iter().map(|given| value(given, &mut sources)).collect::<Result<Vec<_>, Failure>>()?;
    let given = Given { set, config: config.map(config::load).transpose()? };
    let text = sources.get(file).map(|source| source.text.clone()).unwrap_or_default();
    let (ast, syntax_errors) = syntax::parse(&text, file);
    let resolved = rules::resolve(&ast, &sources, &given);
    // A line that does not parse may have defined what others use: that they miss it is no news.
    let spoiled = !syntax_errors.is_empty();
    let told = |kind: &RuleErrorKind| {
        !(spoiled && matches!(kind, RuleErrorKind::UnknownName { .. } | RuleErrorKind::UnknownCapture { .. }))
    };
    let mut errors: Vec<(usize, Diagnostic)> = Vec::new();
    errors.extend(syntax_errors.iter().map(|error| (error.range.start, error.diagnostic(file))));
    let resolve_errors = resolved.errors.iter().filter(|error| told(&error.node));
    errors.extend(resolve_errors.map(|error| (error.span.start, rules::diagnostic(error))));
    if !errors.is_empty() {
        errors.sort_by_key(|(start, _)| *start);
        let diagnostics = errors.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        return Err(Failure { exit: Exit::Usage, diagnostics, sources });
    }
    let warnings = resolved.warnings.iter().map(rules::RuleWarning::diagnostic).collect();
    Ok(RuleFile { rules: resolved.rules, sources, warnings })
}

/// The text of a rule file.
///
/// # Errors
/// Where it cannot be read, is too large, or is not UTF-8.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let name = format!("`{}`", path.display());
    let file = File::open(path).map_err(|error| unreadable(format!("cannot read {name}: {error}")))?;
    read_from(file, &name)
}

/// The text of rules from any source, which messages call `name`.
///
/// # Errors
/// As for [`read`].
pub(super) fn read_from(source: impl Read, name: &str) -> Result<String, Failure> {
    // Rules may come through a pipe, which has no length to ask for.
    let mut bytes = Vec::new();
    let read = source.take(MAX_RULES + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MAX_RULES {
        return Err(unreadable(format!("{name} is too large for a rule file")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(format!("{name} is not UTF-8 text: byte {at} (is it a rule file?)"))
    })
}

fn unreadable(message: String) -> Failure {
    Failure::new(Exit::Usage, Diagnostic::error("rule-file", message))
}

/// A `--set NAME=VALUE`.
fn value(given: &str, sources: &mut Sources) -> Result<(String, Expr), Failure> {
    let Some((name, text)) = given.split_once('=') else {
        let diagnostic = Diagnostic::error("set", format!("`--set {given}` gives no value"));
        return Err(Failure::new(
            Exit::Usage,
            diagnostic.help("write `--set NAME=VALUE`, such as `--set heads=16`"),
        ));
    };
    let file = sources.add(format!("--set {name}"), text);
    syntax::parse_value(text, file).map(|value| (name.trim().to_owned(), value)).map_err(|error| Failure {
        exit: Exit::Usage,
        diagnostics: vec![error.diagnostic(file)],
        sources: std::mem::take(sources),
    })
}
