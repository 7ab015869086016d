//! The documentation does what it says: each example of the language reference is run, and the page of
//! errors has each code that the program has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ckpt_migrate::rules::verbs::VERBS;
use regex::Regex;
use serde_json::{Map, Value, json};

/// The text of a file of the repository.
pub fn page(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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

/// An example: rules, and what they make of which keys.
///
/// The block `keys` below a block `rules` has sections, each a word on a line of its own with indented
/// lines below it: `before` (the source), `target`, `options` (of the command line), and `after` (the
/// whole output), `refused` or `warned` (the first lines of the messages, in order). A line of keys is
/// `KEY  DTYPE [SHAPE]`, or with its values, or in `after` `KEY  = KEY`: that tensor of the source, byte
/// for byte. Key and content are two spaces apart. Element e of the n-th source tensor holds 100 n + e
/// where no values are given.
struct Example {
    line: usize,
    rules: String,
    sections: BTreeMap<String, Vec<String>>,
}

fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    let mut blocks = blocks(&page("docs/language.md")).into_iter().peekable();
    while let Some((line, word, rules)) = blocks.next() {
        match word.as_str() {
            "rules" => {}
            "text" => continue,
            word => panic!("docs/language.md:{line}: a block of `{word}` without rules"),
        }
        let (_, _, keys) = blocks
            .next_if(|(_, word, _)| word == "keys")
            .unwrap_or_else(|| panic!("docs/language.md:{line}: rules without a block of keys"));
        let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut section = String::new();
        for line in keys.lines() {
            match line.strip_prefix("  ") {
                Some(content) => sections.entry(section.clone()).or_default().push(content.to_owned()),
                None => {
                    section = line.to_owned();
                    sections.entry(section.clone()).or_default();
                }
            }
        }
        examples.push(Example { line, rules, sections });
    }
    examples
}

/// Keys with dtype, shape and bytes.
type Tensors = Vec<(String, Tensor)>;

#[derive(Clone, Debug, PartialEq)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Example {
    fn lines(&self, section: &str) -> Option<&[String]> {
        self.sections.get(section).map(Vec::as_slice)
    }

    fn tensors(&self, section: &str) -> Option<Tensors> {
        let lines = self.lines(section)?.iter().enumerate();
        Some(
            lines
                .map(|(index, line)| {
                    let (key, spec) = split(line);
                    let (dtype, shape, values) = spec_of(spec);
                    let count: u64 = shape.iter().product();
                    let values = if values.is_empty() {
                        (0..count).map(|element| (100 * index as u64 + element) as f64).collect()
                    } else {
                        values
                    };
                    (key.to_owned(), Tensor { bytes: encode(&dtype, &values), dtype, shape })
                })
                .collect(),
        )
    }

    /// Runs the example; an error says what differs.
    fn run(&self) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let before = self.tensors("before").ok_or("no section `before`")?;
        std::fs::write(path("v1_to_v2.rules"), &self.rules).unwrap();
        write(&path("v1.safetensors"), &before);
        let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
        command.current_dir(folder.path());
        command.args(["--rules", "v1_to_v2.rules", "v1.safetensors", "-o", "v2.safetensors", "--no-record"]);
        match self.tensors("target") {
            Some(target) => {
                write(&path("target.safetensors"), &target);
                command.args(["--target", "target.safetensors"]);
            }
            None => {
                command.arg("--no-target");
            }
        }
        for options in self.lines("options").unwrap_or_default() {
            command.args(options.split_whitespace());
        }
        self.judge(&command.output().unwrap(), &path("v2.safetensors"), &before)
    }

    fn judge(&self, output: &Output, path: &Path, before: &Tensors) -> Result<(), String> {
        let said = String::from_utf8_lossy(&output.stderr);
        let first_lines = |level: &str| -> Vec<&str> {
            said.lines().filter(|line| line.starts_with(&format!("{level}["))).collect()
        };
        if let Some(refused) = self.lines("refused") {
            if output.status.success() || path.exists() {
                return Err("it is not refused".to_owned());
            }
            return same(&first_lines("error"), refused);
        }
        if !output.status.success() {
            return Err(format!("it is refused:\n{said}"));
        }
        same(&first_lines("warning"), self.lines("warned").unwrap_or_default())?;
        let found = read(path);
        let after = self.lines("after").ok_or("neither `after` nor `refused`")?;
        let text = || {
            let lines = found.iter().map(|(key, tensor)| {
                let same = before.iter().find(|(_, source)| source == tensor);
                same.map_or_else(
                    || format!("  {key}  {}", show(tensor)),
                    |(from, _)| format!("  {key}  = {from}"),
                )
            });
            format!("the output is\n{}", lines.collect::<Vec<_>>().join("\n"))
        };
        if found.len() != after.len() {
            return Err(text());
        }
        for line in after {
            let (key, spec) = split(line);
            let Some((_, tensor)) = found.iter().find(|(own, _)| own == key) else { return Err(text()) };
            let fits = match spec.strip_prefix("= ") {
                Some(from) => {
                    let source = before.iter().find(|(own, _)| own == from);
                    source.ok_or_else(|| format!("`{from}` is no key of the source"))?.1 == *tensor
                }
                None => {
                    let (dtype, shape, values) = spec_of(spec);
                    let bytes = encode(&dtype, &values);
                    dtype == tensor.dtype
                        && shape == tensor.shape
                        && (values.is_empty() || bytes == tensor.bytes)
                }
            };
            if !fits {
                return Err(text());
            }
        }
        Ok(())
    }
}

fn same(found: &[&str], wanted: &[String]) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("it says\n  {}", found.join("\n  "))) }
}

fn split(line: &str) -> (&str, &str) {
    let (key, content) = line.split_once("  ").unwrap_or_else(|| panic!("`{line}` is no line of keys"));
    (key, content.trim())
}

/// `f32 [2, 3]  0 1 2` as its three parts.
fn spec_of(spec: &str) -> (String, Vec<u64>, Vec<f64>) {
    let form = Regex::new(r"^(\w+) \[([0-9, ]*)\] *(.*)$").unwrap();
    let parts = form.captures(spec).unwrap_or_else(|| panic!("`{spec}` is no dtype and shape"));
    let sizes = parts[2].split([',', ' ']).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse().unwrap()).collect();
    let values = parts[3].split_whitespace().map(|value| value.parse().unwrap()).collect();
    (parts[1].to_owned(), shape, values)
}

fn encode(dtype: &str, values: &[f64]) -> Vec<u8> {
    let bytes = |value: f64| -> Vec<u8> {
        match dtype {
            "f32" => (value as f32).to_le_bytes().to_vec(),
            "f16" => half::f16::from_f64(value).to_le_bytes().to_vec(),
            "bf16" => half::bf16::from_f64(value).to_le_bytes().to_vec(),
            "i64" => (value as i64).to_le_bytes().to_vec(),
            "bool" => vec![u8::from(value != 0.0)],
            _ => panic!("examples have no dtype {dtype}"),
        }
    };
    values.iter().flat_map(|&value| bytes(value)).collect()
}

fn show(tensor: &Tensor) -> String {
    let sizes: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    let mut text = format!("{} [{}] ", tensor.dtype, sizes.join(", "));
    let count = tensor.shape.iter().product::<u64>().max(1) as usize;
    for bytes in tensor.bytes.chunks((tensor.bytes.len() / count).max(1)) {
        let value = match tensor.dtype.as_str() {
            "f32" => f64::from(f32::from_le_bytes(bytes.try_into().unwrap())),
            "f16" => half::f16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
            "bf16" => half::bf16::from_le_bytes(bytes.try_into().unwrap()).to_f64(),
            "i64" => i64::from_le_bytes(bytes.try_into().unwrap()) as f64,
            _ => f64::from(bytes[0]),
        };
        write!(text, " {value}").unwrap();
    }
    text
}

/// Writes a safetensors file.
fn write(path: &Path, tensors: &Tensors) {
    let (mut header, mut body) = (Map::new(), Vec::new());
    for (key, tensor) in tensors {
        let start = body.len();
        body.extend_from_slice(&tensor.bytes);
        let entry = json!({
            "dtype": tensor.dtype.to_uppercase(),
            "shape": tensor.shape,
            "data_offsets": [start, body.len()],
        });
        assert!(header.insert(key.clone(), entry).is_none(), "`{key}` is there twice");
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(body);
    std::fs::write(path, bytes).unwrap();
}

/// Reads a safetensors file, in the order of its header.
fn read(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let body = &bytes[8 + length..];
    let entries = header.into_iter().filter(|(key, _)| key != "__metadata__");
    entries
        .map(|(key, entry)| {
            let offset = |index: usize| entry["data_offsets"][index].as_u64().unwrap() as usize;
            let shape =
                entry["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).collect();
            let dtype = entry["dtype"].as_str().unwrap().to_lowercase();
            (key, Tensor { dtype, shape, bytes: body[offset(0)..offset(1)].to_vec() })
        })
        .collect()
}

#[test]
fn every_example_of_the_language_reference_runs() {
    let examples = examples();
    assert!(examples.len() > 60, "only {} examples were found", examples.len());
    let mut wrong = String::new();
    for example in &examples {
        if let Err(what) = example.run() {
            write!(wrong, "docs/language.md:{}\n{}{what}\n\n", example.line, example.rules).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_reference_has_a_section_and_a_row_for_every_verb() {
    let page = page("docs/language.md");
    for verb in VERBS {
        assert!(page.contains(&format!("\n### {}\n", verb.name)), "no section for `{}`", verb.name);
        let row = format!("| [`{0}`](#{0}) | {1} | `{2}` |", verb.name, verb.summary, verb.example);
        assert!(page.contains(&row), "the table of verbs lacks the row\n{row}");
        let section = page.split(&format!("\n### {}\n", verb.name)).nth(1).unwrap();
        let section = section.split("\n##").next().unwrap();
        for option in verb.options {
            let word = Regex::new(&format!(r"\b{}\b", option.name)).unwrap();
            assert!(word.is_match(section), "the section of `{}` lacks `{}`", verb.name, option.name);
        }
    }
    let rows = page.lines().filter(|line| line.starts_with("| [`")).count();
    assert_eq!(rows, VERBS.len(), "the table of verbs has other rows than verbs");
}

#[test]
fn links_inside_the_pages_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = [
        "README.md",
        "CHANGELOG.md",
        "docs/language.md",
        "docs/errors.md",
        "docs/architecture.md",
        "docs/dependencies.md",
    ];
    for name in pages {
        for found in link.captures_iter(&page(name)) {
            let (path, anchor) = found[1].split_once('#').unwrap_or((&found[1], ""));
            if path.contains("://") {
                continue;
            }
            let target =
                if path.is_empty() { root.join(name) } else { root.join(name).parent().unwrap().join(path) };
            let text = std::fs::read_to_string(&target);
            let text = text.unwrap_or_else(|_| panic!("{name}: `{}` does not exist", &found[1]));
            let anchors = text.lines().filter(|line| line.starts_with('#')).map(anchor_of);
            assert!(
                anchor.is_empty() || anchors.into_iter().any(|own| own == anchor),
                "{name}: `{}` has no such heading",
                &found[1]
            );
        }
    }
}

/// The anchor that a heading gets.
fn anchor_of(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

#[test]
fn the_page_of_errors_has_every_code() {
    let in_code = codes_in_code();
    let page = page("docs/errors.md");
    let on_page: BTreeSet<String> = rows(&page).into_iter().map(|(code, _)| code).collect();
    let lacking: Vec<_> = in_code.difference(&on_page).collect();
    let unknown: Vec<_> = on_page.difference(&in_code).collect();
    assert!(lacking.is_empty() && unknown.is_empty(), "lacking: {lacking:?}; unknown: {unknown:?}");
}

/// The files of `src` up to the tests inside them; files of tests apart.
fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap_or_default();
            if name == "tests" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            sources.push((path, code));
        }
    }
    sources
}

/// The codes of errors in `src`: what follows `=>` in functions named `code`, and the first argument of
/// `Diagnostic::error` and `Diagnostic::warning`; tests inside the files apart.
fn codes_in_code() -> BTreeSet<String> {
    let function = Regex::new(r"(?s)fn code\(.*?\n    \}\n").unwrap();
    let arm = Regex::new(r#""([a-z][a-z-]*)""#).unwrap();
    let made = Regex::new(r#"Diagnostic::(?:error|warning)\(\s*"([a-z][a-z-]*)""#).unwrap();
    let mut codes = BTreeSet::new();
    for (_, text) in sources() {
        let in_functions = function.find_iter(&text).flat_map(|body| arm.captures_iter(body.as_str()));
        codes.extend(in_functions.chain(made.captures_iter(&text)).map(|found| found[1].to_owned()));
    }
    assert!(codes.len() > 50, "only {} codes were found", codes.len());
    codes
}

/// The first cells of a page's tables, without their quotes, each with the rest of its row.
fn rows(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(first, rest)| (first.to_owned(), rest.to_owned())).collect()
}

#[test]
fn folders_use_those_that_the_architecture_says() {
    let page = page("docs/architecture.md");
    let table = page.split("\n## Who may import whom\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let word = Regex::new("`([a-z]+)`").unwrap();
    let said: BTreeMap<String, BTreeSet<String>> = rows(table)
        .into_iter()
        .map(|(folder, rest)| (folder, word.captures_iter(&rest).map(|used| used[1].to_owned()).collect()))
        .collect();
    assert_eq!(said, imports());
}

/// Which modules of the crate each module's files name as `crate::…`, tests and comments apart.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let used = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let module = path.strip_prefix(&root).unwrap().components().next().unwrap();
        let module = module.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let names = used.captures_iter(&code.join("\n")).map(|found| found[1].to_owned()).collect::<Vec<_>>();
        let others = names.into_iter().filter(|name| *name != module);
        imports.entry(module.clone()).or_default().extend(others);
    }
    imports
}

#[test]
fn the_page_of_dependencies_has_each_dependency() {
    let cargo = page("Cargo.toml");
    let mut named = BTreeSet::new();
    for section in ["\n[dependencies]\n", "\n[dev-dependencies]\n"] {
        let lines = cargo.split(section).nth(1).unwrap().split("\n[").next().unwrap().lines();
        named.extend(lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name.to_owned())));
    }
    let cell = Regex::new("`([a-z_0-9-]+)`").unwrap();
    let page = page("docs/dependencies.md");
    let first_cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let on_page: BTreeSet<String> = first_cells
        .flat_map(|cells| {
            cell.captures_iter(&format!("`{cells}")).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(on_page, named);
}
