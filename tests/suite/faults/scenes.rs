//! The runs that are disturbed: what they start from, and what is to be there before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::tracer::run;
use crate::chains::keys;
use crate::command::Folder;
use crate::safetensors;
use crate::tensors::Tensor;

/// Every file of a folder and the folders in it, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A run of the program.
pub struct Scene {
    /// What is there before.
    pub files: fn() -> Files,
    pub arguments: &'static [&'static str],
    /// What the run writes; each is old or new by itself.
    pub outputs: &'static [Output],
    /// The checkpoints that it reads and leaves alone.
    pub inputs: &'static [&'static str],
}

/// Something that the run writes.
#[derive(Clone, Copy)]
pub enum Output {
    /// A file.
    File(&'static str),
    /// The shards that the index of this folder leads to.
    Set(&'static str),
    /// A file that is replaced, and the name that its old bytes get.
    InPlace(&'static str, &'static str),
}

impl Output {
    pub fn name(self) -> &'static str {
        match self {
            Output::File(name) | Output::Set(name) | Output::InPlace(name, _) => name,
        }
    }

    /// What who reads the output finds: nothing, or all of it.
    pub fn content(self, files: &Files) -> Option<Vec<u8>> {
        match self {
            Output::File(name) | Output::InPlace(name, _) => files.get(name).cloned(),
            Output::Set(folder) => {
                let index = files.get(&format!("{folder}/model.safetensors.index.json"))?;
                let index: Value = serde_json::from_slice(index).unwrap();
                let map = index["weight_map"].as_object().unwrap();
                let shards: BTreeSet<&str> = map.values().map(|file| file.as_str().unwrap()).collect();
                let shard =
                    |name| files.get(&format!("{folder}/{name}")).expect("a shard of the index").clone();
                Some(shards.into_iter().flat_map(shard).collect())
            }
        }
    }
}

/// All files in a folder.
pub fn files_in(folder: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let inner = files_in(&entry.path());
            if inner.is_empty() {
                files.insert(format!("{name}/"), Vec::new());
            }
            files.extend(inner.into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// Puts files into a folder.
pub fn put(files: &Files, folder: &Folder) {
    for (path, bytes) in files {
        let path = folder.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn of<const N: usize>(files: [(&str, Vec<u8>); N]) -> Files {
    files.map(|(path, bytes)| (path.to_owned(), bytes)).into()
}

/// A checkpoint with tensors that are moved by the kernel and some that go through a buffer.
fn checkpoint(first: u64) -> Vec<u8> {
    let tensor = |key, rows| Tensor::counting(key, "f32", &[rows, 64], first);
    safetensors::to_bytes(&[tensor("a.w", 300), tensor("a.b", 2), tensor("b.w", 100), tensor("c.w", 260)])
}

const RENAME: &str = "rename a.* -> x.*\n";
const COMPUTE: &str = "split a.w -> a.{q,k} dim 0\ncast b.w to f16\ntranspose c.w\n";

fn rename() -> Files {
    of([("r.rules", RENAME.into()), ("old.safetensors", checkpoint(1))])
}

fn compute() -> Files {
    of([("r.rules", COMPUTE.into()), ("old.safetensors", checkpoint(1))])
}

fn over() -> Files {
    let mut files = rename();
    files.insert("new.safetensors".to_owned(), checkpoint(7));
    files
}

fn torch() -> Files {
    let folder = Folder::new();
    put(&rename(), &folder);
    let ran = run(&folder, &["--rules", "r.rules", "old.safetensors", "-o", "old.pt", "--no-target"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    of([("r.rules", b"rename x.* -> y.*\n".to_vec()), ("old.pt", folder.read("old.pt"))])
}

/// A set of shards of at most so many bytes in `out`, and another checkpoint.
fn set_of(size: &str) -> Files {
    let folder = Folder::new();
    put(&rename(), &folder);
    let arguments =
        ["--rules", "r.rules", "old.safetensors", "-o", "out/", "--no-target", "--max-shard-size"];
    let ran = run(&folder, &[&arguments[..], &[size]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let mut files = files_in(&folder.path(""));
    files.insert("old.safetensors".to_owned(), checkpoint(7));
    files
}

fn chain() -> Files {
    let shapes = ["f32 [300, 64]", "f32 [2, 64]", "f32 [100, 64]", "f32 [260, 64]"];
    let keys = |names: [&str; 4]| {
        let lines: Vec<String> =
            names.iter().zip(shapes).map(|(name, shape)| format!("{name}: {shape}")).collect();
        keys(&lines.iter().map(String::as_str).collect::<Vec<_>>()).into_bytes()
    };
    of([
        ("m/v1.keys.yaml", keys(["a.w", "a.b", "b.w", "c.w"])),
        ("m/v2.keys.yaml", keys(["x.w", "x.b", "b.w", "c.w"])),
        ("m/v3.keys.yaml", keys(["x.w", "x.b", "y.w", "c.w"])),
        ("m/v1_to_v2.rules", RENAME.into()),
        ("m/v2_to_v3.rules", b"rename b.* -> y.*\n".to_vec()),
        ("old.safetensors", checkpoint(1)),
    ])
}

fn many() -> Files {
    let mut files = of([("r.rules", RENAME.into())]);
    files.extend((1..=3).map(|run| (format!("runs/{run}.safetensors"), checkpoint(run))));
    files
}

fn parts() -> Files {
    let rules = b"rename {x:a|b}.* -> l.{x}.*\nrename c.* -> r.c.*\n".to_vec();
    of([("r.rules", rules), ("old.safetensors", checkpoint(1))])
}

const OLD: &[&str] = &["old.safetensors"];
const NEW: &[Output] = &[Output::File("new.safetensors")];
const TO_NEW: &[&str] = &["--rules", "r.rules", "old.safetensors", "-o", "new.safetensors", "--no-target"];
const TO_SET: &[&str] =
    &["--rules", "r.rules", "old.safetensors", "-o", "out/", "--no-target", "--max-shard-size", "80KB"];

pub const RENAMED: Scene = Scene { files: rename, arguments: TO_NEW, outputs: NEW, inputs: OLD };

pub const COMPUTED: Scene = Scene { files: compute, arguments: TO_NEW, outputs: NEW, inputs: OLD };

pub const OVER: Scene = Scene { files: over, arguments: TO_NEW, outputs: NEW, inputs: OLD };

pub const TORCH: Scene = Scene {
    files: torch,
    arguments: &["--rules", "r.rules", "old.pt", "-o", "new.pt", "--no-target"],
    outputs: &[Output::File("new.pt")],
    inputs: &["old.pt"],
};

pub const NEW_SET: Scene =
    Scene { files: rename, arguments: TO_SET, outputs: &[Output::Set("out")], inputs: OLD };

pub const SET_OVER: Scene =
    Scene { files: || set_of("80KB"), arguments: TO_SET, outputs: &[Output::Set("out")], inputs: OLD };

pub const SET_OVER_OTHERS: Scene =
    Scene { files: || set_of("70KB"), arguments: TO_SET, outputs: &[Output::Set("out")], inputs: OLD };

pub const IN_PLACE: Scene = Scene {
    files: rename,
    arguments: &["--rules", "r.rules", "old.safetensors", "--in-place", "--backup", ".bak", "--no-target"],
    outputs: &[Output::InPlace("old.safetensors", "old.safetensors.bak")],
    inputs: &[],
};

pub const CHAIN: Scene = Scene {
    files: chain,
    arguments: &["--rules", "m", "old.safetensors", "-o", "new.safetensors"],
    outputs: NEW,
    inputs: OLD,
};

pub const MANY: Scene = Scene {
    files: many,
    arguments: &[
        "--rules",
        "r.rules",
        "--no-target",
        "--out-dir",
        "out",
        "--jobs",
        "2",
        "runs/1.safetensors",
        "runs/2.safetensors",
        "runs/3.safetensors",
    ],
    outputs: &[
        Output::File("out/1.safetensors"),
        Output::File("out/2.safetensors"),
        Output::File("out/3.safetensors"),
    ],
    inputs: &["runs/1.safetensors", "runs/2.safetensors", "runs/3.safetensors"],
};

pub const PARTS: Scene = Scene {
    files: parts,
    arguments: &[
        "--rules",
        "r.rules",
        "--no-target",
        "old.safetensors",
        "-o",
        "l=l.safetensors",
        "-o",
        "r=r.safetensors",
    ],
    outputs: &[Output::File("l.safetensors"), Output::File("r.safetensors")],
    inputs: OLD,
};
