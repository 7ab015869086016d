//! `migrate fmt`: the canonical text of rule files.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use similar::TextDiff;

use crate::diagnostic::Diagnostic;
use crate::formats::{AtomicFile, FormatError, Placement, Replace};
use crate::printable::printable;
use crate::quantity::counted;
use crate::source::Sources;
use crate::syntax;

use super::rule_file;
use super::{Exit, Failure, Terminal};

const EXAMPLES: &str = "\
Examples:
  migrate fmt v1_to_v2.rules      rewrites the file, if its text changes
  migrate fmt rules/              all *.rules files below the folder
  migrate fmt --check rules/      changes nothing; shows what it would change, and ends with 1
  migrate fmt - < a.rules         standard input to standard output";

/// Puts rule files into their canonical text
///
/// Indentation, columns, spaces and empty lines become the same in all rule files; comments and the order
/// of statements stay. What the rules mean does not change. Where a file does not parse, none is touched.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct FmtArgs {
    /// Rule files, or folders for all *.rules files below them; `-` or nothing for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write nothing; show where files differ from their canonical text, and end with 1 if one does
    #[arg(long)]
    pub check: bool,
}

/// Where a text comes from.
enum Origin {
    Stdin,
    File(PathBuf),
}

/// A text and its canonical form.
struct Formatted {
    origin: Origin,
    name: String,
    text: String,
    canonical: String,
}

/// Runs `migrate fmt`.
pub fn run(args: &FmtArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), false)
}

fn work(args: &FmtArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let all = format_all(origins(&args.files)?)?;
    let changed: Vec<&Formatted> = all.iter().filter(|one| one.text != one.canonical).collect();
    if args.check {
        for one in &changed {
            terminal.print(&difference(one))?;
        }
        if changed.is_empty() {
            return Ok(Exit::Done);
        }
        terminal.tell(&format!(
            "{} not in canonical form: `migrate fmt` without `--check` rewrites\n",
            counted(changed.len(), "rule file")
        ));
        return Ok(Exit::Different);
    }
    for one in &all {
        match &one.origin {
            Origin::Stdin => terminal.print(&one.canonical)?,
            Origin::File(_) if one.text == one.canonical => {}
            Origin::File(path) => {
                rewrite(path, &one.canonical)?;
                terminal.tell(&format!("formatted {}\n", printable(&one.name)));
            }
        }
    }
    Ok(Exit::Done)
}

/// The texts that the command line names, each file once.
fn origins(given: &[PathBuf]) -> Result<Vec<Origin>, Failure> {
    let stdin = Path::new("-");
    if given.is_empty() && io::stdin().is_terminal() {
        let diagnostic = Diagnostic::error("usage", "no rule file is named");
        return Err(Failure::new(
            Exit::Usage,
            diagnostic.help("write `migrate fmt FILE`, or `migrate fmt rules/`"),
        ));
    }
    if given.is_empty() || given == [stdin] {
        return Ok(vec![Origin::Stdin]);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for path in given {
        let found = if path == stdin {
            let message = "`-`, standard input, stands beside other files";
            let help = "name either `-` or files; a file of that name is `./-`";
            return Err(Failure::new(Exit::Usage, Diagnostic::error("usage", message).help(help)));
        } else if path.is_dir() {
            below(path)?
        } else {
            vec![path.clone()]
        };
        files.extend(found.into_iter().filter(|path| !files.contains(path)).collect::<Vec<_>>());
    }
    Ok(files.into_iter().map(Origin::File).collect())
}

/// The `*.rules` files below a folder, in the order of their names; hidden folders are left alone.
fn below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let io = |source| FormatError::Io { path: folder.to_owned(), doing: "read", source };
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // The kind of the entry itself: a link to a folder is not followed, as it may lead round.
            if entry.file_type().map_err(io)?.is_dir() {
                folders.extend((!hidden).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rules") && path.is_file() {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        let message = format!("no *.rules file below `{}`", printable(&folder.display().to_string()));
        return Err(Failure::new(Exit::Usage, Diagnostic::error("rule-file", message)));
    }
    found.sort();
    Ok(found)
}

/// Formats all of them, or tells all that does not parse.
fn format_all(origins: Vec<Origin>) -> Result<Vec<Formatted>, Failure> {
    let mut all = Vec::new();
    let mut failure = Failure { exit: Exit::Usage, diagnostics: Vec::new(), sources: Sources::new() };
    for origin in origins {
        let (name, text) = match &origin {
            Origin::Stdin => {
                ("standard input".to_owned(), rule_file::read_from(io::stdin(), "standard input")?)
            }
            Origin::File(path) => (path.display().to_string(), rule_file::read(path)?),
        };
        let file = failure.sources.add(name.as_str(), text.as_str());
        let source = failure.sources.get(file).map(|source| source.text.as_str()).unwrap_or_default();
        match syntax::format(source) {
            Ok(canonical) => all.push(Formatted { origin, name, text, canonical }),
            Err(errors) => {
                failure.diagnostics.extend(errors.iter().map(|error| error.diagnostic(file)));
            }
        }
    }
    if failure.diagnostics.is_empty() { Ok(all) } else { Err(failure) }
}

/// What would change, as a unified diff.
fn difference(one: &Formatted) -> String {
    let name = printable(&one.name);
    // The shortest diff of two long texts that share nothing could take for ever.
    let patience = Duration::from_secs(2);
    let diff = TextDiff::configure().timeout(patience).diff_lines(&one.text, &one.canonical);
    let text = diff.unified_diff().context_radius(1).header(&name, &name).to_string();
    text.split_terminator('\n').map(|line| printable(line) + "\n").collect() // a `\r` is a difference too
}

/// Replaces a file by one of the same mode in one step; a link stays one.
fn rewrite(path: &Path, text: &str) -> Result<(), FormatError> {
    let io = |source| FormatError::Io { path: path.to_owned(), doing: "write", source };
    let target = fs::canonicalize(path).map_err(io)?;
    let permissions = fs::metadata(&target).map_err(io)?.permissions();
    let file = AtomicFile::create(&target)?;
    file.file().write_all(text.as_bytes()).map_err(io)?;
    file.file().set_permissions(permissions).map_err(io)?;
    file.commit(&Placement { replace: Replace::Force, sync: false })
}
