//! `migrate status`: which versions checkpoints are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::formats::Limits;
use crate::printable::printable;
use crate::quantity::size;
use crate::source::Sources;
use crate::table::Table;

use super::chain::{self, Folder, Known};
use super::inputs::{Inputs, record_of};
use super::limits::LimitArgs;
use super::named::Named;
use super::rule_file::Values;
use super::{Exit, Failure, Terminal, chained, json_text};

const EXAMPLES: &str = "\
Examples:
  migrate status --rules migrations/ runs/*.ckpt

Exit codes: 0 where the version of each is known; 1 where that of one is not; 3 where one cannot be read";

/// Says which version each checkpoint is, and which rule files would run
///
/// Reads headers only. A version is known by what was recorded in the file, else by its keys.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// The checkpoints
    #[arg(value_name = "CKPT", required = true)]
    checkpoints: Vec<PathBuf>,
    /// The folder of rule files and key sets
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// The version that would be led to; without it, the last
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Which dict of tensors, where the files hold several (`.` is the whole file)
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
    /// Print the table as JSON
    #[arg(long)]
    json: bool,
    /// Say at length why a version is not known
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate status`.
pub fn run(args: &StatusArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

/// What is known of one checkpoint.
struct Row<'a> {
    path: &'a Path,
    bytes: Option<u64>,
    place: Result<Place<'a>, Unknown>,
}

/// Where a checkpoint stands in the chain.
struct Place<'a> {
    version: usize,
    known: Known,
    /// The versions on the way.
    way: Vec<&'a str>,
    /// The version to which nothing leads back.
    refused: Option<&'a str>,
}

/// Why the version of a checkpoint is not known.
struct Unknown {
    exit: Exit,
    short: String,
    diagnostics: Vec<Diagnostic>,
}

fn work(args: &StatusArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let limits = args.limits.limits();
    let folder = Folder::load(&args.rules, Values { set: &[], config: None, limits: &limits })?;
    let to = match &args.to {
        Some(to) => folder.number(to)?,
        None => folder.versions.len().saturating_sub(1),
    };
    // Whether each step can be gone back, worked out where it is asked for.
    let mut back: HashMap<usize, bool> = HashMap::new();
    let mut refused = |from: usize| {
        (to..from).rev().find(|&number| {
            let written = folder.back.contains_key(&number);
            !written && !*back.entry(number).or_insert_with(|| chain::undoing(&folder, number).is_ok())
        })
    };
    let rows: Vec<Row> = args
        .checkpoints
        .iter()
        .map(|path| Row {
            path,
            bytes: std::fs::metadata(path).ok().map(|metadata| metadata.len()),
            place: known(&folder, path, args.at.as_deref(), &limits).map(|start| {
                let mut way: Vec<&str> =
                    (start.0.min(to)..=start.0.max(to)).filter_map(|number| name(&folder, number)).collect();
                if start.0 > to {
                    way.reverse();
                }
                let refused = refused(start.0).and_then(|number| name(&folder, number));
                Place { version: start.0, known: start.1, way, refused }
            }),
        })
        .collect();
    if args.json {
        let rows: Vec<Value> = rows.iter().map(|row| to_json(row, &folder)).collect();
        terminal.print(&json_text::pretty(&json!({ "format": 1, "checkpoints": rows })))?;
    } else {
        terminal.print(&to_text(&rows, &folder))?;
    }
    let mut exit = Exit::Done;
    for unknown in rows.iter().filter_map(|row| row.place.as_ref().err()) {
        if args.verbose {
            terminal.show(&unknown.diagnostics, &Sources::new());
        }
        if unknown.exit as u8 > exit as u8 {
            exit = unknown.exit;
        }
    }
    Ok(exit)
}

fn name(folder: &Folder, version: usize) -> Option<&str> {
    folder.versions.get(version).map(|version| version.name.as_str())
}

/// The version of a checkpoint, and how it is known.
fn known(folder: &Folder, path: &Path, at: Option<&str>, limits: &Limits) -> Result<(usize, Known), Unknown> {
    let unread = |failure: Failure| {
        let first = failure.diagnostics.first();
        let short = first.map(|diagnostic| diagnostic.code.replace('-', " ")).unwrap_or_default();
        Unknown { exit: failure.exit, short, diagnostics: failure.diagnostics }
    };
    let inputs = &[Named { name: None, path: path.to_owned() }];
    let dicts = chained::open(folder, Inputs { inputs, at, limits }).map_err(unread)?;
    let keys = dicts.main_keys().map_err(unread)?;
    let record = record_of(&dicts.checkpoint);
    let start = chain::start(folder, &keys, record.as_ref(), None).map_err(|error| Unknown {
        exit: error.exit(),
        short: error.short(),
        diagnostics: vec![error.diagnostic()],
    })?;
    Ok((start.version, start.known))
}

fn to_json(row: &Row, folder: &Folder) -> Value {
    match &row.place {
        Ok(Place { version, known, way, refused }) => json!({
            "path": row.path,
            "bytes": row.bytes,
            "version": name(folder, *version),
            "recorded": *known == Known::Recorded,
            "would_run": way,
            "no_way_back_to": refused,
        }),
        Err(unknown) => json!({
            "path": row.path,
            "bytes": row.bytes,
            "version": null,
            "reason": unknown.short,
            "problems": unknown.diagnostics.iter().map(|found| found.to_json(&Sources::new())).collect::<Vec<Value>>(),
        }),
    }
}

fn to_text(rows: &[Row], folder: &Folder) -> String {
    let mut table = Table::new();
    table.row(["checkpoint", "version", "known by", "would run", "size"]);
    for row in rows {
        let path = printable(&row.path.display().to_string());
        let bytes = row.bytes.map(size).unwrap_or_default();
        match &row.place {
            Ok(Place { version, known, way, refused }) => {
                let version = name(folder, *version).map(printable).unwrap_or_default();
                let by = if *known == Known::Recorded { "record" } else { "its keys" };
                let way = match refused {
                    Some(version) => format!("no way back to {}", printable(version)),
                    None if way.len() > 1 => printable(&way.join(" -> ")),
                    None => "nothing".to_owned(),
                };
                table.row([path, version, by.to_owned(), way, bytes]);
            }
            Err(unknown) => {
                table.row([path, "?".to_owned(), String::new(), printable(&unknown.short), bytes])
            }
        }
    }
    table.lines("").join("\n") + "\n"
}
