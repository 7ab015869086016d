//! Each example of the language reference and of the cookbook is run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::command::{Folder, Ran};
use crate::docs::page;
use crate::safetensors;
use crate::tensors::{self, Tensor};

/// An example: rules, and what they make of which keys.
///
/// The block `keys` below a block `rules` has sections, each a word on a line of its own with indented
/// lines below it: `file NAME` (a rule file beside the rules), `before` (the source), `target`, `options`
/// (of the command line), and `after` (the whole output), `refused` or `warned` (the first lines of the messages, in order). Tensors are written
/// as everywhere in these tests; `before r0` and `before r1` are inputs under these names, `after r0` and
/// `after r1` outputs; `metadata` and `metadata after` are that of the one source and output, as lines
/// `KEY = TEXT`; `way back` are the rules that `migrate invert` writes, without the first remark and empty lines, and `way of KEY`
/// is what `migrate explain` says of a key. A line of `after` without values stands for any, and `KEY = KEY` is that
/// tensor of the source, byte for byte.
struct Example {
    line: usize,
    rules: String,
    sections: BTreeMap<String, Vec<String>>,
}

/// The examples of a page.
fn examples(name: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut blocks = blocks(&page(name)).into_iter().peekable();
    while let Some((line, word, rules)) = blocks.next() {
        match word.as_str() {
            "rules" => {}
            "text" => continue,
            word => panic!("{name}:{line}: a block of `{word}` without rules"),
        }
        let (_, _, keys) = blocks
            .next_if(|(_, word, _)| word == "keys")
            .unwrap_or_else(|| panic!("{name}:{line}: rules without a block of keys"));
        examples.push(Example { line, rules, sections: sections(&keys) });
    }
    examples
}

/// The fenced blocks of a page: the line of the fence, its word, the text.
fn blocks(page: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(word)) => open = Some((index + 1, word.to_owned(), String::new())),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some((_, _, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn sections(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        match line.strip_prefix("  ") {
            Some(content) => sections.entry(section.clone()).or_default().push(content.to_owned()),
            None => {
                section = line.to_owned();
                sections.entry(section.clone()).or_default();
            }
        }
    }
    sections
}

impl Example {
    fn lines(&self, section: &str) -> Option<&[String]> {
        self.sections.get(section).map(Vec::as_slice)
    }

    /// The sections whose names begin with a word, each with the file's name on the command line.
    fn files(&self, word: &str, path: &str) -> Vec<(String, &[String])> {
        let sections = self.sections.iter().filter_map(|(section, lines)| {
            let name = section.strip_prefix(word)?.trim();
            let name = if name.is_empty() { path.to_owned() } else { format!("{name}={name}_{path}") };
            Some((name, lines.as_slice()))
        });
        sections.collect()
    }

    /// Runs the example; an error says what differs.
    fn run(&self) -> Result<(), String> {
        let folder = Folder::new();
        folder.write("v1_to_v2.rules", &self.rules);
        for (section, lines) in &self.sections {
            if let Some(name) = section.strip_prefix("file ") {
                folder.write(name, lines.join("\n"));
            }
        }
        let mut arguments = vec!["--rules".to_owned(), "v1_to_v2.rules".to_owned(), "--no-record".to_owned()];
        let mut before = Vec::new();
        for (name, lines) in self.files("before", "v1.safetensors") {
            let path = name.split_once('=').map_or(name.as_str(), |(_, path)| path);
            match self.lines("metadata") {
                Some(metadata) => {
                    let metadata = metadata.iter().map(String::as_str);
                    folder.tensors_and_metadata(path, &lines.join("\n"), metadata)
                }
                None => folder.tensors(path, &lines.join("\n")),
            };
            before.extend(folder.tensors_of(path));
            arguments.push(name);
        }
        if before.is_empty() {
            return Err("no section `before`".to_owned());
        }
        match self.lines("target") {
            Some(target) => {
                folder.tensors("target.safetensors", &target.join("\n"));
                arguments.extend(["--target".to_owned(), "target.safetensors".to_owned()]);
            }
            None => arguments.push("--no-target".to_owned()),
        }
        let mut outputs = self.files("after", "v2.safetensors");
        if outputs.is_empty() {
            outputs.push(("v2.safetensors".to_owned(), &[]));
        }
        arguments.extend(outputs.iter().flat_map(|(name, _)| ["-o".to_owned(), name.clone()]));
        let options = self.lines("options").unwrap_or_default();
        arguments.extend(options.iter().flat_map(|options| options.split_whitespace()).map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = folder.run(&arguments);
        self.judge(&ran, &folder, &before, &outputs)
    }

    fn judge(
        &self,
        ran: &Ran,
        folder: &Folder,
        before: &[Tensor],
        outputs: &[(String, &[String])],
    ) -> Result<(), String> {
        let first_lines = |level: &str| -> Vec<&str> {
            ran.stderr.lines().filter(|line| line.starts_with(&format!("{level}["))).collect()
        };
        let path = |name: &str| name.split_once('=').map_or(name.to_owned(), |(_, path)| path.to_owned());
        if let Some(refused) = self.lines("refused") {
            if ran.exit == 0 || outputs.iter().any(|(name, _)| folder.has(&path(name))) {
                return Err("it is not refused".to_owned());
            }
            return same(&first_lines("error"), refused);
        }
        if ran.exit != 0 {
            return Err(format!("it is refused:\n{}", ran.stderr));
        }
        same(&first_lines("warning"), self.lines("warned").unwrap_or_default())?;
        for (name, after) in outputs {
            let found = folder.tensors_of(&path(name));
            if found.len() != after.len() || !after.iter().all(|line| is_in(&found, line, before)) {
                return Err(format!("the output is\n{}", tensors::to_text(&found)));
            }
            let metadata = safetensors::metadata_of(&folder.read(&path(name)));
            if metadata != self.lines("metadata after").unwrap_or_default() {
                return Err(format!("the metadata is\n{}", metadata.join("\n")));
            }
        }
        self.tell(folder)
    }

    /// Compares what the commands tell that write no checkpoint.
    fn tell(&self, folder: &Folder) -> Result<(), String> {
        let told = |arguments: &[&str]| -> Vec<String> {
            let told = folder.run(arguments).stdout;
            told.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let (rules, source) = ("v1_to_v2.rules", "v1.safetensors");
        if let Some(way_back) = self.lines("way back") {
            let told = told(&["invert", rules, source, "--target", "v2.safetensors"]);
            let told: Vec<&str> = told.iter().skip(1).map(String::as_str).collect();
            same(&told, way_back)?;
        }
        for (section, lines) in &self.sections {
            let Some(key) = section.strip_prefix("way of ") else { continue };
            let told = told(&["explain", rules, source, key, "--no-target"]);
            same(&told.iter().map(String::as_str).collect::<Vec<_>>(), lines)?;
        }
        Ok(())
    }
}

fn same(found: &[&str], wanted: &[String]) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("it says\n  {}", found.join("\n  "))) }
}

/// Whether the output holds what a line of `after` says.
fn is_in(found: &[Tensor], line: &str, before: &[Tensor]) -> bool {
    let of = |tensors: &[Tensor], key: &str| tensors.iter().find(|tensor| tensor.key == key).cloned();
    if let Some((key, from)) = line.split_once(" = ") {
        let source = of(before, from).unwrap_or_else(|| panic!("`{from}` is no key of the source"));
        return of(found, key.trim()).is_some_and(|own| own == Tensor { key: own.key.clone(), ..source });
    }
    let wanted = tensors::parse(line).remove(0);
    let own = of(found, &wanted.key);
    own.is_some_and(|own| {
        let any = line.ends_with(']');
        own.dtype == wanted.dtype && own.shape == wanted.shape && (any || own.bytes == wanted.bytes)
    })
}

#[test]
fn every_example_of_the_language_reference_runs() {
    all_run("docs/language.md", 90);
}

#[test]
fn every_example_of_the_cookbook_runs() {
    all_run("docs/cookbook.md", 15);
}

/// Runs the examples of a page, of which there are at least so many.
fn all_run(page: &str, least: usize) {
    let examples = examples(page);
    assert!(examples.len() >= least, "only {} examples were found", examples.len());
    let mut wrong = String::new();
    for example in &examples {
        if let Err(what) = example.run() {
            write!(wrong, "{page}:{}\n{}{what}\n\n", example.line, example.rules).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
