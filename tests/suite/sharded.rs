//! Checkpoints in shards: an index and its shards, in and out.

use serde_json::{Value, json};

use crate::command::{Folder, Ran};

/// A checkpoint of three keys in two shards, whose index is `in/model.safetensors.index.json`.
fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("in")).unwrap();
    let format = || std::iter::once("format = pt");
    folder.tensors_and_metadata(&shard("in", 1, 2), "a f32 [2] 1 2\nb f32 [2] 3 4", format());
    folder.tensors_and_metadata(&shard("in", 2, 2), "c f32 [1] 5", format());
    folder.write("r.rules", "");
    index(&folder, &[("a", 1), ("b", 1), ("c", 2)]);
    folder
}

fn shard(folder: &str, number: usize, count: usize) -> String {
    format!("{folder}/model-{number:05}-of-{count:05}.safetensors")
}

/// Writes the index of `in`: the number of the shard of each key.
fn index(folder: &Folder, keys: &[(&str, usize)]) {
    let map = keys.iter().map(|(key, number)| {
        let file = shard("in", *number, 2).replace("in/", "");
        ((*key).to_owned(), json!(file))
    });
    let metadata = json!({ "total_size": 20, "total_parameters": 5, "of": "test" });
    let index = json!({ "metadata": metadata, "weight_map": map.collect::<serde_json::Map<_, _>>() });
    folder.write("in/model.safetensors.index.json", index.to_string());
}

fn migrate(folder: &Folder, arguments: &[&str]) -> Ran {
    folder.run(&[&["--rules", "r.rules", "--no-record", "--no-target"], arguments].concat())
}

fn done(folder: &Folder, arguments: &[&str]) -> Ran {
    let ran = migrate(folder, arguments);
    assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.stderr);
    ran
}

fn lines(folder: &Folder, name: &str) -> String {
    crate::tensors::to_text(&folder.tensors_of(name))
}

fn json_of(folder: &Folder, name: &str) -> Value {
    serde_json::from_slice(&folder.read(name)).unwrap()
}

fn names(folder: &Folder, name: &str) -> Vec<String> {
    crate::command::names(&folder.path(name))
}

#[test]
fn a_folder_or_an_index_is_one_checkpoint() {
    let folder = folder();
    for input in ["in", "in/", "in/model.safetensors.index.json"] {
        done(&folder, &[input, "-o", "one.safetensors", "--force"]);
        assert_eq!(lines(&folder, "one.safetensors"), "a f32 [2] 1 2\nb f32 [2] 3 4\nc f32 [1] 5\n");
        let metadata = crate::safetensors::metadata_of(&folder.read("one.safetensors"));
        assert_eq!(metadata, ["format = pt"]);
        let ran = folder.run(&["diff", input, "one.safetensors"]);
        assert_eq!(ran.exit, 0, "{}", ran.stdout);
    }
    let ran = folder.run(&["keys", "in"]);
    assert_eq!(ran.stdout, "format: 1\ntensors:\n  a: f32 [2]\n  b: f32 [2]\n  c: f32 [1]\n");
    let ran = folder.run(&["inspect", "in", "--json"]);
    let inspected: Value = serde_json::from_str(&ran.stdout).unwrap();
    let files = [shard("in", 1, 2), shard("in", 2, 2)];
    let bytes: usize = files.iter().map(|file| folder.read(file).len()).sum();
    assert_eq!((&inspected["shards"], &inspected["file_bytes"]), (&json!(2), &json!(bytes)));
    let arguments = ["--rules", "r.rules", "--target", "in", "one.safetensors", "-o", "two.safetensors"];
    assert_eq!(folder.run(&arguments).exit, 0);
}

#[test]
fn three_shards_become_two_and_three_again() {
    let folder = folder();
    done(&folder, &["in", "-o", "three/", "--max-shard-size", "8B"]);
    done(&folder, &["three", "-o", "two/", "--max-shard-size", "16"]);
    done(&folder, &["two", "-o", "back/", "--max-shard-size", "8"]);
    for (name, count) in [("three", 3), ("two", 2), ("back", 3)] {
        let mut files: Vec<String> =
            (1..=count).map(|number| shard("", number, count).replace('/', "")).collect();
        files.push("model.safetensors.index.json".to_owned());
        assert_eq!(names(&folder, name), files);
        assert_eq!(folder.run(&["diff", "in", name]).exit, 0);
    }
    for name in names(&folder, "three") {
        assert_eq!(folder.read(&format!("three/{name}")), folder.read(&format!("back/{name}")), "{name}");
    }
    let metadata = crate::safetensors::metadata_of(&folder.read(&shard("two", 2, 2)));
    assert_eq!(metadata, ["format = pt"]);
    let expected = json!({
        "metadata": { "of": "test", "total_parameters": 5, "total_size": 20 },
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00001-of-00002.safetensors",
            "c": "model-00002-of-00002.safetensors",
        },
    });
    assert_eq!(json_of(&folder, "two/model.safetensors.index.json"), expected);
}

#[test]
fn rules_run_over_shards_and_sizes_are_counted_anew() {
    let folder = folder();
    folder.write("r.rules", "merge a, b -> ab dim 0\ncast c to f64\nrename c -> d\n");
    let ran = done(&folder, &["in", "-o", "out/model.safetensors", "--max-shard-size", "16", "--json"]);
    let outputs: Value = serde_json::from_str(&ran.stdout).unwrap();
    let outputs: Vec<&str> =
        outputs["outputs"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(outputs, [&*shard("out", 1, 2), &*shard("out", 2, 2), "out/model.safetensors.index.json"]);
    assert_eq!(lines(&folder, &shard("out", 1, 2)), "ab f32 [4] 1 2 3 4\n");
    assert_eq!(lines(&folder, &shard("out", 2, 2)), "d f64 [1] 5\n");
    let index = json_of(&folder, "out/model.safetensors.index.json");
    assert_eq!(index["metadata"], json!({ "of": "test", "total_parameters": 5, "total_size": 24 }));
    folder.write("r.rules", "drop a\n");
    done(&folder, &["in", "-o", "less/"]);
    let index = json_of(&folder, "less/model.safetensors.index.json");
    assert_eq!(index["metadata"], json!({ "of": "test", "total_size": 12 }));
}

#[test]
fn a_larger_tensor_has_a_shard_of_its_own() {
    let folder = Folder::new();
    folder.tensors("in.safetensors", "a u8 [1] 1\nb u8 [4] 1 2 3 4\nc u8 [1] 2\nd u8 [1] 3");
    folder.write("r.rules", "");
    done(&folder, &["in.safetensors", "-o", "out/", "--max-shard-size", "2"]);
    assert_eq!(lines(&folder, &shard("out", 1, 3)), "a u8 [1] 1\nc u8 [1] 2\n");
    assert_eq!(lines(&folder, &shard("out", 2, 3)), "b u8 [4] 1 2 3 4\n");
    assert_eq!(lines(&folder, &shard("out", 3, 3)), "d u8 [1] 3\n");
}

#[test]
fn what_is_there_is_replaced_by_force_alone_and_as_a_whole() {
    let folder = folder();
    done(&folder, &["in", "-o", "out/", "--max-shard-size", "8"]);
    folder.write("out/config.json", "{}").write("out/model.safetensors", "in one file");
    for output in ["out", "out/model.safetensors.index.json"] {
        let ran = migrate(&folder, &["in", "-o", output]);
        assert_eq!(ran.exit, 2);
        assert!(ran.stderr.contains("error[output-exists]"), "{}", ran.stderr);
        assert_eq!(names(&folder, "out").len(), 6);
    }
    done(&folder, &["in", "-o", "out/model.safetensors", "--max-shard-size", "16", "--force"]);
    let files = ["config.json", &shard("", 1, 2)[1..], &shard("", 2, 2)[1..], "model.safetensors.index.json"];
    assert_eq!(names(&folder, "out"), files);
    assert_eq!(folder.run(&["diff", "in", "out"]).exit, 0);
}

#[test]
fn shards_of_the_input_are_never_replaced() {
    let folder = folder();
    let files = names(&folder, "in");
    let outputs: [&[&str]; 4] = [
        &["-o", "in"],
        &["-o", "in/model.safetensors.index.json"],
        &["-o", "in/model.safetensors", "--max-shard-size", "1GB"],
        &["-o", "in/model-00002-of-00002.safetensors"],
    ];
    for output in outputs {
        for input in ["in", "in/model.safetensors.index.json", "in/model-00002-of-00002.safetensors"] {
            let ran = migrate(&folder, &[&[input, "--force"], output].concat());
            assert_eq!(ran.exit, 2, "{input} {output:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("error[output]"), "{}", ran.stderr);
            assert_eq!(names(&folder, "in"), files);
        }
    }
    let ran = migrate(&folder, &["in", "--in-place", "--backup", ".bak"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("in shards, which are not replaced in place"), "{}", ran.stderr);
    let ran = migrate(&folder, &["in", "-o", "r0=out/", "-o", "r1=out/model.safetensors.index.json"]);
    assert!(ran.stderr.contains("is named twice"), "{}", ran.stderr);
    assert_eq!(folder.names(), ["in", "r.rules"]);
}

/// What is wrong, how the program ends, with which code, and how it comes about.
type Broken<'a> = (&'a str, i32, &'a str, &'a dyn Fn(&Folder));

#[test]
fn an_index_and_shards_that_do_not_fit_are_refused() {
    let broken: [Broken; 12] = [
        ("a key that its shard lacks", 3, "shard-keys", &|folder| {
            index(folder, &[("a", 1), ("b", 1), ("c", 2), ("d", 2)]);
        }),
        ("a key that is not listed", 3, "shard-keys", &|folder| index(folder, &[("a", 1), ("c", 2)])),
        ("a key that another shard holds too", 3, "shard-keys", &|folder| {
            folder.tensors(&shard("in", 2, 2), "c f32 [1] 5\na f32 [1] 6");
        }),
        ("a shard that is not there", 3, "missing-shard", &|folder| {
            std::fs::remove_file(folder.path(&shard("in", 2, 2))).unwrap();
        }),
        ("a shard that is cut off", 3, "cut-off", &|folder| {
            let whole = folder.read(&shard("in", 2, 2));
            folder.write(&shard("in", 2, 2), &whole[..whole.len() - 1]);
        }),
        ("a key twice", 3, "duplicate-key", &|folder| {
            let twice = r#"{"weight_map": {"a": "x.bin", "a": "x.bin"}}"#;
            folder.write("in/model.safetensors.index.json", twice);
        }),
        ("no map", 3, "bad-index", &|folder| {
            folder.write("in/model.safetensors.index.json", "{\"metadata\": {}}");
        }),
        ("an empty map", 3, "bad-index", &|folder| {
            folder.write("in/model.safetensors.index.json", "{\"weight_map\": {}}");
        }),
        ("no JSON", 3, "bad-index", &|folder| {
            folder.write("in/model.safetensors.index.json", "weights");
        }),
        ("nothing", 3, "empty-file", &|folder| {
            folder.write("in/model.safetensors.index.json", "");
        }),
        ("no index", 3, "no-index", &|folder| {
            std::fs::remove_file(folder.path("in/model.safetensors.index.json")).unwrap();
        }),
        ("two indexes", 2, "many-indexes", &|folder| {
            folder.write("in/pytorch_model.bin.index.json", "{}");
        }),
    ];
    for (what, exit, code, breaks) in broken {
        let folder = folder();
        breaks(&folder);
        let ran = migrate(&folder, &["in", "-o", "out/"]);
        assert_eq!(ran.exit, exit, "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error[{code}]")), "{what}: {}", ran.stderr);
        assert!(!folder.has("out"));
    }
}

#[test]
fn a_shard_is_a_file_beside_its_index() {
    for name in ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0b"] {
        let folder = folder();
        folder.tensors("x", "a f32 [2] 1 2");
        let map = json!({ "weight_map": { "a": name } });
        folder.write("in/model.safetensors.index.json", map.to_string());
        let ran = migrate(&folder, &["in", "-o", "out/"]);
        assert_eq!(ran.exit, 3, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains("error[bad-index]"), "{name}: {}", ran.stderr);
    }
    // An index that lists itself is not followed round and round.
    let folder = folder();
    folder.write("in/i.index.json", r#"{"weight_map": {"a": "i.index.json"}}"#);
    assert_eq!(migrate(&folder, &["in/i.index.json", "-o", "out/"]).exit, 3);
}

#[test]
fn sizes_that_are_none_are_wrong_usage() {
    let folder = folder();
    for size in ["0", "5G", "GB", "-1", "many"] {
        let ran = migrate(&folder, &["in", "-o", "out/", &format!("--max-shard-size={size}")]);
        assert_eq!(ran.exit, 2, "{size}");
        assert!(ran.stderr.contains("no size such as 500MB"), "{}", ran.stderr);
    }
    let ran = migrate(&folder, &["in", "-o", "out"]);
    assert!(ran.stderr.contains("for shards, name a folder (`out/`)"), "{}", ran.stderr);
}
