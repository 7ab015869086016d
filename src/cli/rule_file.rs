//! Rule files from disk to a rule set, with everything that is wrong told at once.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::{Limit, Limits};
use crate::rules::value::Value;
use crate::rules::{self, Given, Loader, Pattern, RuleErrorKind, RuleSet, Step, Text};
use crate::source::Sources;
use crate::syntax::{self, SyntaxError, ast::Expr};

use super::{Exit, Failure, config};

/// A rule file that parses and resolves.
pub(super) struct RuleFile {
    pub rules: RuleSet,
    pub sources: Sources,
    pub warnings: Vec<Diagnostic>,
    /// The numbers of its texts: its own, which is the first, and those that it takes in.
    pub texts: Range<u32>,
}

/// What the command line gives to the names of rule files.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// `NAME=VALUE` for a `let`.
    pub set: &'a [String],
    /// A model's `config.json`.
    pub config: Option<&'a Path>,
    pub limits: &'a Limits,
}

/// One rule file among those of a run.
pub(super) struct Loaded {
    pub rules: RuleSet,
    pub warnings: Vec<Diagnostic>,
    /// As for [`RuleFile`].
    pub texts: Range<u32>,
    /// What is given to names that it does not have.
    pub unknown: Vec<Diagnostic>,
}

/// Reads a rule file with all that it takes in.
///
/// # Errors
/// Where one cannot be read, does not parse or does not resolve.
pub(super) fn load(path: &Path, values: Values) -> Result<RuleFile, Failure> {
    let mut sources = Sources::new();
    let loaded = load_into(&mut sources, path, values);
    let wrong = |(exit, diagnostics)| Failure { exit, diagnostics, sources: std::mem::take(&mut sources) };
    let Loaded { rules, warnings, texts, unknown } = loaded.map_err(wrong)?;
    if !unknown.is_empty() {
        return Err(Failure { exit: Exit::Usage, diagnostics: unknown, sources });
    }
    Ok(RuleFile { rules, sources, warnings, texts })
}

/// As [`load`], into the texts of a run of several.
pub(super) fn load_into(
    sources: &mut Sources,
    path: &Path,
    values: Values,
) -> Result<Loaded, (Exit, Vec<Diagnostic>)> {
    let mut files = Files::within(values.limits);
    let read = files.read(path);
    let text = read.map_err(|reason| {
        let message = format!("cannot read `{}`: {reason}", path.display());
        (Exit::Usage, vec![Diagnostic::error("rule-file", message)])
    })?;
    let file = sources.add(path.display().to_string(), text);
    let config = values.config.map(config::load).transpose();
    let config = config.map_err(|failure| (failure.exit, failure.diagnostics))?;
    read_rules(sources, file, &mut files, (Place::of(path), values.set, config))
}

/// Reads the text of that number as rules that nothing is given to.
///
/// # Errors
/// As for [`load`].
pub(super) fn from_text(sources: &mut Sources, file: u32) -> Result<Loaded, (Exit, Vec<Diagnostic>)> {
    let mut files = Files::within(&Limits::default());
    read_rules(sources, file, &mut files, (Place::of(Path::new("")), &[], None))
}

type Around<'a> = (Place, &'a [String], Option<HashMap<String, Value>>);

fn read_rules(
    sources: &mut Sources,
    file: u32,
    files: &mut Files,
    (place, set, config): Around,
) -> Result<Loaded, (Exit, Vec<Diagnostic>)> {
    let mut given = Given { set: Vec::new(), config };
    for set in set {
        given.set.push(value(set, sources).map_err(|diagnostic| (Exit::Usage, vec![diagnostic]))?);
    }
    let set = file + 1..sources.next();
    let text = sources.get(file).map(|source| source.text.clone()).unwrap_or_default();
    let (ast, own_errors) = syntax::parse(&text, file);
    let taken_in = rules::take_in(ast, (file, place), sources, files);
    let resolved = rules::resolve(&taken_in.ast, sources, &given);
    let syntax_errors = own_errors.into_iter().map(|error| (file, error)).chain(taken_in.syntax_errors);
    let syntax_errors: Vec<(u32, SyntaxError)> = syntax_errors.collect();
    // A line that does not parse, or a text that is not there, may have defined what others use: that they
    // miss it is no news.
    let spoiled = !syntax_errors.is_empty() || !taken_in.errors.is_empty();
    let told = |kind: &RuleErrorKind| {
        !(spoiled && matches!(kind, RuleErrorKind::UnknownName { .. } | RuleErrorKind::UnknownCapture { .. }))
    };
    let mut errors: Vec<(u32, usize, Diagnostic)> = Vec::new();
    errors.extend(
        syntax_errors.iter().map(|(file, error)| (*file, error.range.start, error.diagnostic(*file))),
    );
    let rule_errors = taken_in.errors.iter().chain(&resolved.errors).filter(|error| told(&error.node));
    errors.extend(rule_errors.map(|error| (error.span.file, error.span.start, rules::diagnostic(error))));
    errors.sort_by_key(|(file, start, _)| (*file, *start));
    let all_unknown = errors.iter().all(|(file, ..)| set.contains(file));
    let diagnostics: Vec<Diagnostic> = errors.into_iter().map(|(_, _, diagnostic)| diagnostic).collect();
    if !all_unknown {
        return Err((Exit::Usage, diagnostics));
    }
    let warnings = resolved.warnings.iter().map(rules::RuleWarning::diagnostic).collect();
    let texts = file..sources.next();
    Ok(Loaded { rules: resolved.rules, warnings, texts, unknown: diagnostics })
}

/// Patterns of keys as they stand in a statement, with commas between; `None` where the text is anything else.
pub(super) fn patterns(text: &str) -> Option<Vec<Pattern>> {
    let mut sources = Sources::new();
    // On one line, nothing but patterns can stand behind this verb without an error.
    let text = format!("drop {text}");
    let file = sources.add("--params", &*text);
    let (ast, errors) = syntax::parse(&text, file);
    let resolved = rules::resolve(&ast, &sources, &Given::default());
    if text.contains('\n') || !errors.is_empty() || !resolved.errors.is_empty() {
        return None;
    }
    match resolved.rules.steps.into_iter().next()? {
        Step::Statement(statement) => {
            Some(statement.clauses.into_iter().flat_map(|own| own.patterns).collect())
        }
        Step::Let(_) => None,
    }
}

/// The rule files of one run, read from disk.
struct Files {
    /// How much they may hold, all together, and how much of that is left.
    limit: u64,
    bytes_left: u64,
}

/// Where a rule file lies: by the name that it was opened by, from which its own paths lead on, and by the
/// one that all links to it share.
struct Place {
    opened: PathBuf,
    canonical: Option<PathBuf>,
}

impl Place {
    fn of(path: &Path) -> Place {
        Place { opened: path.to_owned(), canonical: path.canonicalize().ok() }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        match (&self.canonical, &other.canonical) {
            (Some(own), Some(other)) => own == other,
            _ => self.opened == other.opened,
        }
    }
}

impl Loader for Files {
    type Place = Place;

    fn load(&mut self, path: &str, from: &Place) -> Result<Text<Place>, String> {
        let path = from.opened.with_file_name("").join(path);
        let name = path.display().to_string();
        // Whoever wrote the rules named this, and not whoever runs them: a pipe would wait, a device never end.
        let text = match std::fs::metadata(&path) {
            Ok(found) if !found.is_file() => Err("it is no file".to_owned()),
            _ => self.read(&path),
        };
        let text = text.map_err(|reason| format!("`{name}`: {reason}"))?;
        Ok(Text { name, text, place: Place::of(&path) })
    }
}

impl Files {
    fn within(limits: &Limits) -> Files {
        let limit = limits.get(Limit::RulesBytes);
        Files { limit, bytes_left: limit }
    }

    fn read(&mut self, path: &Path) -> Result<String, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let text = text(file, (self.bytes_left, self.limit))?;
        self.bytes_left -= text.len() as u64;
        Ok(text)
    }
}

/// The text of rules of at most `left` bytes of all that are allowed; why not, where they have none.
fn text(source: impl Read, (left, allowed): (u64, u64)) -> Result<String, String> {
    // Rules may come through a pipe, which has no length to ask for.
    let mut bytes = Vec::new();
    source.take(left.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > left {
        let limit = Limit::RulesBytes;
        return Err(format!("rule files hold at most {allowed} bytes, all together; {limit} allows more"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("it is not UTF-8 text: byte {at} (is it a rule file?)")
    })
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
    let limit = Limits::default().get(Limit::RulesBytes);
    text(source, (limit, limit)).map_err(|reason| unreadable(format!("cannot read {name}: {reason}")))
}

fn unreadable(message: String) -> Failure {
    Failure::new(Exit::Usage, Diagnostic::error("rule-file", message))
}

/// A `--set NAME=VALUE`.
fn value(given: &str, sources: &mut Sources) -> Result<(String, Expr), Diagnostic> {
    let Some((name, text)) = given.split_once('=') else {
        let diagnostic = Diagnostic::error("set", format!("`--set {given}` gives no value"));
        return Err(diagnostic.help("write `--set NAME=VALUE`, such as `--set heads=16`"));
    };
    let file = sources.add(format!("--set {name}"), text);
    let value = syntax::parse_value(text, file).map_err(|error| error.diagnostic(file))?;
    Ok((name.trim().to_owned(), value))
}
