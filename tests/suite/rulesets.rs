//! The shipped rule sets: each whole in its folder, and leading from its sample to its second key set.

use std::path::{Path, PathBuf};

use ckpt_migrate::rules::shipped::{self, SHIPPED};

use crate::command::{self, Folder};
use crate::docs::page;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")
}

/// The path of a set's sample.
fn sample(name: &str) -> PathBuf {
    let folder = root().join(name);
    let files = command::names(&folder);
    let sample = files.iter().find(|file| file.starts_with("sample.")).expect(name);
    folder.join(sample)
}

/// What a set is told of its sample.
fn options(name: &str) -> &'static [&'static str] {
    match name {
        "llama_hf" => &["--set", "head_dim=8"],
        _ => &[],
    }
}

/// The arguments of a run of `use NAME` over a checkpoint towards the second key set.
fn run(folder: &Folder, name: &str, input: &Path, out: &str) -> command::Ran {
    let input = input.to_str().unwrap();
    let target = root().join(name).join("after.keys.yaml");
    folder.write("r.rules", format!("use {name}\n"));
    let mut arguments = vec!["--rules", "r.rules", input, "-o", out, "--weights-only"];
    arguments.extend(["--target", target.to_str().unwrap()]);
    arguments.extend(options(name));
    folder.run(&arguments)
}

#[test]
fn each_folder_is_a_shipped_set_and_whole() {
    let mut names = shipped::names();
    names.push("example");
    names.sort();
    assert_eq!(command::names(&root()), names);
    for set in SHIPPED {
        let folder = root().join(set.name);
        let rules = format!("{}.rules", set.name);
        for needed in [rules.as_str(), "before.keys.yaml", "after.keys.yaml", "make.py"] {
            assert!(folder.join(needed).is_file(), "{} lacks {needed}", set.name);
        }
        let bytes = sample(set.name).metadata().unwrap().len();
        assert!(bytes < 100_000, "the sample of {} has {bytes} bytes", set.name);
    }
}

#[test]
fn each_sample_has_the_first_key_set_and_comes_to_the_second() {
    for name in shipped::names() {
        let folder = Folder::new();
        let sample = sample(name);
        let [before, after] =
            ["before", "after"].map(|side| root().join(name).join(format!("{side}.keys.yaml")));
        let differs = |left: &Path, right: &Path| {
            let ran = folder.run(&["diff", left.to_str().unwrap(), right.to_str().unwrap()]);
            (ran.exit, ran.stdout)
        };
        let (exit, told) = differs(&sample, &before);
        assert_eq!(exit, 0, "{name}\n{told}");
        let (exit, _) = differs(&sample, &after);
        assert_eq!(exit, 1, "{name} has nothing to do");
        let ran = run(&folder, name, &sample, "out.pt");
        assert_eq!(ran.exit, 0, "{name}\n{}", ran.stderr);
        assert!(!ran.stderr.contains("warning"), "{name}\n{}", ran.stderr);
        let (exit, told) = differs(&folder.path("out.pt"), &after);
        assert_eq!(exit, 0, "{name}\n{told}");
    }
}

#[test]
fn what_was_migrated_stays_as_it_is() {
    for name in shipped::names() {
        let folder = Folder::new();
        assert_eq!(run(&folder, name, &sample(name), "once.pt").exit, 0, "{name}");
        let again = run(&folder, name, &folder.path("once.pt"), "twice.pt");
        assert_eq!(again.exit, 0, "{name}\n{}", again.stderr);
        if folder.has("twice.pt") {
            assert!(folder.read("twice.pt") == folder.read("once.pt"), "{name} changes what it has made");
        } else {
            assert!(again.stderr.contains("nothing to do"), "{name}\n{}", again.stderr);
        }
    }
}

#[test]
fn the_reference_lists_the_shipped_sets() {
    let page = page("docs/language.md");
    let section = page.split("\n### use\n").nth(1).unwrap().split("\n##").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: Vec<&str> = rows.map(|(name, _)| name).collect();
    assert_eq!(listed, shipped::names());
}

#[test]
fn an_output_records_what_the_rules_take_in() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("shared")).unwrap();
    folder.write("shared/common.rules", "rename b -> c\nuse compiled\n");
    folder.write("r.rules", "rename a -> b\ninclude \"shared/common.rules\"\nuse compiled\n");
    folder.tensors("in.safetensors", "_orig_mod.x f32 [1] 1\na f32 [1] 2\n");
    let ran = folder.run(&["--rules", "r.rules", "in.safetensors", "-o", "out.safetensors", "--no-target"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let header = crate::safetensors::header(&folder.read("out.safetensors"));
    let record = header["__metadata__"]["migrate"].as_str().unwrap();
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    let step = &record["steps"][0];
    assert_eq!(step["rules"], "r.rules");
    let taken_in = step["taken_in"].as_array().unwrap().iter().map(|text| text["name"].as_str().unwrap());
    assert_eq!(taken_in.collect::<Vec<_>>(), ["common.rules", "use compiled"]);
}
