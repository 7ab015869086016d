//! A folder of migrations: rule files, key sets, and the chain that they make.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::Exit;
use crate::cli::record::Step;
use crate::cli::rule_file::{self, Loaded, Values};
use crate::cli::target::load_keyset;
use crate::diagnostic::Diagnostic;
use crate::formats::{FormatError, Limits};
use crate::keyset::KeySet;
use crate::rules::RuleSet;
use crate::source::Sources;

use super::error::ChainError;
use super::{Taken, order};

const KEYS: &str = ".keys.yaml";
const RULES: &str = ".rules";

/// A rule file that leads from one version to another.
#[derive(Debug)]
pub(in crate::cli) struct Link {
    /// The file.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    pub rules: RuleSet,
    pub from: String,
    pub to: String,
    pub taken: Taken,
    pub warnings: Vec<Diagnostic>,
}

impl Link {
    /// The step that running it is.
    pub fn step(&self, sources: &Sources) -> Step {
        Step::new(&self.taken, sources)
    }
}

/// A version of the model.
#[derive(Debug)]
pub(in crate::cli) struct Version {
    pub name: String,
    pub keys: KeySet,
}

/// A folder of migrations whose parts make one chain.
#[derive(Debug)]
pub(in crate::cli) struct Folder {
    pub path: PathBuf,
    /// The versions, the oldest first.
    pub versions: Vec<Version>,
    /// The rule files between them: each leads from the version of its number to the next.
    pub links: Vec<Link>,
    /// Rule files that lead back, by the number of the version that they lead to.
    pub back: HashMap<usize, Link>,
    pub sources: Sources,
}

/// What is wrong with a folder, all of it, and what could be read.
#[derive(Debug)]
pub(in crate::cli) struct Broken {
    pub exit: Exit,
    pub diagnostics: Vec<Diagnostic>,
    pub sources: Sources,
    pub links: Vec<Link>,
    pub keys: BTreeMap<String, KeySet>,
}

/// A folder as it is read, sound or not.
struct Reading {
    /// Versions whose key set is there and cannot be read.
    unread: Vec<String>,
    broken: Broken,
}

impl Reading {
    fn refuse(&mut self, error: &ChainError) {
        self.fail(error.exit(), vec![error.diagnostic()]);
    }

    fn fail(&mut self, exit: Exit, diagnostics: Vec<Diagnostic>) {
        // Damage outweighs mistakes.
        if exit as u8 > self.broken.exit as u8 {
            self.broken.exit = exit;
        }
        self.broken.diagnostics.extend(diagnostics);
    }
}

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    /// All that is wrong with it, but for what only planning shows.
    pub fn load(path: &Path, values: Values) -> Result<Folder, Broken> {
        let broken = Broken {
            exit: Exit::Done,
            diagnostics: Vec::new(),
            sources: Sources::new(),
            links: Vec::new(),
            keys: BTreeMap::new(),
        };
        let mut reading = Reading { unread: Vec::new(), broken };
        reading.broken.sources.set_several();
        match names(path) {
            Ok(names) => read(path, &names, values, &mut reading),
            Err(source) => {
                let error = FormatError::Io { path: path.to_owned(), doing: "read", source };
                reading.fail(Exit::Io, vec![Diagnostic::error(error.code(), error.to_string())]);
            }
        }
        let broken = &reading.broken;
        if broken.links.is_empty() && broken.keys.is_empty() && broken.diagnostics.is_empty() {
            reading.refuse(&ChainError::Empty { folder: path.display().to_string() });
        }
        let ordered = order::order(std::mem::take(&mut reading.broken.links));
        for error in &ordered.errors {
            reading.refuse(error);
        }
        lacking_keys(path, &ordered.links, &mut reading);
        let unread_rules = reading.broken.exit != Exit::Done;
        let alone: Vec<&String> =
            reading.broken.keys.keys().filter(|name| !ordered.versions.contains(name)).collect();
        let mut versions = ordered.versions;
        if versions.is_empty() && alone.len() == 1 {
            versions.extend(alone.into_iter().cloned());
        } else if !alone.is_empty() && !unread_rules {
            // A rule file that cannot be read may be what joins them.
            let chain = versions.last().cloned();
            let parts: Vec<String> = chain.iter().chain(alone.iter().copied()).cloned().collect();
            reading.refuse(&order::gap(&parts));
        }
        if !reading.broken.diagnostics.is_empty() {
            reading.broken.links = ordered.links;
            reading.broken.links.extend(ordered.back.into_values());
            return Err(reading.broken);
        }
        let mut keys = reading.broken.keys;
        let versions = versions.into_iter().filter_map(|name| {
            let keys = keys.remove(&name)?;
            Some(Version { name, keys })
        });
        Ok(Folder {
            path: path.to_owned(),
            versions: versions.collect(),
            links: ordered.links,
            back: ordered.back,
            sources: reading.broken.sources,
        })
    }

    /// The number of a version.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn number(&self, version: &str) -> Result<usize, Box<ChainError>> {
        let names = || self.versions.iter().map(|version| version.name.as_str());
        names().position(|name| name == version).ok_or_else(|| {
            Box::new(ChainError::UnknownVersion {
                version: version.to_owned(),
                folder: self.path.display().to_string(),
                versions: names().map(str::to_owned).collect(),
            })
        })
    }

    /// The name of a version's key set file.
    pub fn keys_file(&self, version: &str) -> PathBuf {
        self.path.join(format!("{version}{KEYS}"))
    }
}

/// The names of a folder's files, sorted.
fn names(path: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        // Rule files and key sets have names of text; what has not is another file.
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

fn read(folder: &Path, names: &[String], values: Values, reading: &mut Reading) {
    let mut unknown: HashMap<String, (usize, Diagnostic)> = HashMap::new();
    let mut files = 0;
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let path = folder.join(name);
        if let Some(version) = name.strip_suffix(KEYS) {
            read_keys(&path, (name, version), values.limits, reading);
        } else if let Some(stem) = name.strip_suffix(RULES) {
            let loaded = match rule_file::load_into(&mut reading.broken.sources, &path, values) {
                Ok(loaded) => loaded,
                Err((exit, diagnostics)) => {
                    reading.fail(exit, diagnostics);
                    continue;
                }
            };
            let named = stem.split_once("_to_").map(|(from, to)| (from.to_owned(), to.to_owned()));
            let said = loaded.rules.migration.as_ref();
            let said = said.map(|migration| (migration.from.clone(), migration.to.clone()));
            // Neither named nor headed as a migration: a text that others include.
            let Some((from, to)) = said.clone().or_else(|| named.clone()) else { continue };
            if let (Some(named), Some(said)) = (named, said)
                && named != said
            {
                let way = |(from, to): &(String, String)| format!("`{from} -> {to}`");
                let (named, said) = (way(&named), way(&said));
                reading.refuse(&ChainError::Name { file: path.display().to_string(), named, said });
            }
            files += 1;
            let Loaded { rules, warnings, texts, unknown: unknown_here } = loaded;
            for diagnostic in unknown_here {
                unknown.entry(diagnostic.message.clone()).or_insert((0, diagnostic)).0 += 1;
            }
            let taken = Taken { texts, from: Some(from.clone()), to: Some(to.clone()), reversed: false };
            reading.broken.links.push(Link { path, name: name.clone(), rules, from, to, taken, warnings });
        }
    }
    // A name that `--set` gives a value to need not be in each of the files.
    let nowhere = unknown.into_values().filter(|(count, _)| *count == files);
    let nowhere: Vec<Diagnostic> = nowhere.map(|(_, diagnostic)| diagnostic).collect();
    if !nowhere.is_empty() {
        reading.fail(Exit::Usage, nowhere);
    }
}

fn read_keys(path: &Path, (file, version): (&str, &str), limits: &Limits, reading: &mut Reading) {
    match load_keyset(path, None, limits) {
        Ok(keys) => {
            if let Some(said) = keys.name.as_ref().filter(|said| *said != version) {
                let file = path.with_file_name(file).display().to_string();
                let (named, said) = (format!("`{version}`"), format!("`name: {said}`"));
                reading.refuse(&ChainError::Name { file, named, said });
            }
            reading.broken.keys.insert(version.to_owned(), keys);
        }
        Err(failure) => {
            reading.unread.push(version.to_owned());
            let diagnostics = failure.diagnostics.into_iter().map(|diagnostic| {
                // Its text is not among those of the run.
                let place = diagnostic.labels.first().map(|label| failure.sources.place(label.span));
                let message = match place {
                    Some(place) => format!("{place}: {}", diagnostic.message),
                    None => diagnostic.message.clone(),
                };
                Diagnostic { message, labels: Vec::new(), ..diagnostic }
            });
            let diagnostics = diagnostics.collect();
            reading.fail(failure.exit, diagnostics);
        }
    }
}

/// Refuses versions that rule files name and that have no key set.
fn lacking_keys(folder: &Path, links: &[Link], reading: &mut Reading) {
    let mut lacking: Vec<(String, String)> = Vec::new();
    for link in links {
        for version in [&link.from, &link.to] {
            let known = reading.broken.keys.contains_key(version) || reading.unread.contains(version);
            if !known && !lacking.iter().any(|(name, _)| name == version) {
                lacking.push((version.clone(), format!("`{}`", link.name)));
            }
        }
    }
    for (version, rules) in lacking {
        let written = folder.join(format!("{version}{KEYS}")).display().to_string();
        reading.refuse(&ChainError::NoKeys { version, rules, written });
    }
}
