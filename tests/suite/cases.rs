//! Golden folders: `tests/cases/<verb or topic>/<case>/`, each run through the real command line.
//!
//! A case holds `r.rules`, `source.tensors`, and where it wants them `source.metadata` (lines `KEY = TEXT`),
//! `target.tensors`, `args` (one argument a line), key sets (`*.keys.yaml`), and rule files that `r.rules`
//! includes (`*.rules`, also in folders). What must come of it stands beside them: `gives.tensors` (the whole
//! output, in order) and `gives.metadata`, or `error.txt` (`exit N`, then all of standard error). `stderr.txt` is standard error
//! of a good run; a run that warns must have it. Alone, it says that nothing was written and nothing was wrong.
//! `UPDATE_CASES=1 cargo test cases` writes all of these anew, to be read before they are committed.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ckpt_migrate::rules::verbs;

use crate::command::{self, Folder};
use crate::{safetensors, tensors};

const EXPECTATIONS: [&str; 4] = ["gives.tensors", "gives.metadata", "error.txt", "stderr.txt"];
const GIVEN: [&str; 5] = ["r.rules", "source.tensors", "source.metadata", "target.tensors", "args"];

/// What a case comes to: the text of each expectation that applies.
type Outcome = [Option<String>; 4];

#[test]
fn every_case_comes_out_as_written() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let failures = Mutex::new(Vec::new());
    let cases = Mutex::new(all());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { cases.lock().unwrap().pop() } {
                    let outcome = run(&case);
                    if update {
                        write(&case, &outcome);
                    } else if let Some(failure) = compare(&case, &outcome) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} cases failed\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn no_file_is_forgotten() {
    for topic in command::names(&root()) {
        let folder = root().join(&topic);
        assert!(folder.is_dir(), "{topic} lies beside the topics");
        for name in command::names(&folder) {
            let case = folder.join(&name);
            assert!(case.is_dir(), "{topic}/{name} lies beside the cases");
            let files = files(&case);
            for needed in ["r.rules", "source.tensors"] {
                assert!(files.iter().any(|file| file == needed), "{topic}/{name} has no {needed}");
            }
            for file in &files {
                let known = GIVEN.contains(&file.as_str())
                    || EXPECTATIONS.contains(&file.as_str())
                    || is_copied(file);
                assert!(known, "{topic}/{name}/{file} is no file of a case");
            }
        }
    }
}

#[test]
fn every_verb_has_a_good_and_a_refused_case() {
    for verb in verbs::names() {
        let cases = root().join(verb);
        assert!(cases.is_dir(), "{verb} has no cases");
        for file in ["gives.tensors", "error.txt"] {
            let some = command::names(&cases).iter().any(|case| cases.join(case).join(file).exists());
            assert!(some, "no case of {verb} has {file}");
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn all() -> Vec<PathBuf> {
    let topics = command::names(&root()).into_iter().map(|topic| root().join(topic));
    topics.flat_map(|topic| command::names(&topic).into_iter().map(move |case| topic.join(case))).collect()
}

/// The files of a case, those in its folders as `folder/file`.
fn files(case: &Path) -> Vec<String> {
    let names = command::names(case).into_iter().flat_map(|name| match case.join(&name).is_dir() {
        true => files(&case.join(&name)).into_iter().map(|inner| format!("{name}/{inner}")).collect(),
        false => vec![name],
    });
    names.collect()
}

/// Whether the program shall find a file of the case under its name.
fn is_copied(name: &str) -> bool {
    name.ends_with(".rules") || name.ends_with(".keys.yaml")
}

fn run(case: &Path) -> Outcome {
    let folder = Folder::new();
    let read = |name: &str| std::fs::read_to_string(case.join(name)).ok();
    for name in files(case).iter().filter(|name| is_copied(name)) {
        std::fs::create_dir_all(folder.path(name).parent().unwrap()).unwrap();
        folder.write(name, std::fs::read(case.join(name)).unwrap());
    }
    let source = read("source.tensors").unwrap();
    match read("source.metadata") {
        Some(metadata) => folder.tensors_and_metadata("source.safetensors", &source, metadata.lines()),
        None => folder.tensors("source.safetensors", &source),
    };
    let written = read("args").unwrap_or_default();
    let mut arguments: Vec<&str> =
        vec!["--rules", "r.rules", "source.safetensors", "-o", "out.safetensors", "--no-record"];
    arguments.extend(written.lines());
    if let Some(target) = read("target.tensors") {
        folder.tensors("target.safetensors", &target);
        arguments.extend(["--target", "target.safetensors"]);
    } else if !written.contains("target") && !command::names(case).iter().any(|name| name == "v2.keys.yaml") {
        arguments.push("--no-target");
    }
    let ran = folder.run(&arguments);
    let gives =
        folder.has("out.safetensors").then(|| tensors::to_text(&folder.tensors_of("out.safetensors")));
    let metadata = gives.as_ref().map(|_| safetensors::metadata_of(&folder.read("out.safetensors")));
    let metadata = metadata.filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n") + "\n");
    if ran.exit != 0 {
        return [gives, metadata, Some(format!("exit {}\n{}", ran.exit, ran.stderr)), None];
    }
    let notable = gives.is_none() || ran.stderr.contains("warning") || case.join("stderr.txt").exists();
    [gives, metadata, None, notable.then_some(ran.stderr)]
}

fn compare(case: &Path, outcome: &Outcome) -> Option<String> {
    let mut differences = String::new();
    for (name, got) in EXPECTATIONS.iter().zip(outcome) {
        let wanted = std::fs::read_to_string(case.join(name)).ok();
        if wanted != *got {
            let show = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing\n".to_owned());
            differences.push_str(&format!(
                "--- {name} wanted\n{}--- {name} got\n{}",
                show(&wanted),
                show(got)
            ));
        }
    }
    let name = case.strip_prefix(root()).unwrap().display().to_string();
    (!differences.is_empty()).then(|| format!("{name}\n{differences}"))
}

fn write(case: &Path, outcome: &Outcome) {
    for (name, got) in EXPECTATIONS.iter().zip(outcome) {
        let path = case.join(name);
        match got {
            Some(text) => std::fs::write(path, text).unwrap(),
            None if path.exists() => std::fs::remove_file(path).unwrap(),
            None => {}
        }
    }
}
