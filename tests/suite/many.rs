//! Several checkpoints into one folder, each by itself.

use serde_json::Value;

use crate::command::{Folder, Ran};

/// Three runs of a model, two of which are migrated; the rules are those of another model.
fn folder() -> Folder {
    let folder = Folder::new();
    for run in ["runs", "runs/1", "runs/2"] {
        std::fs::create_dir(folder.path(run)).unwrap();
    }
    folder.write("r.rules", "rename old.* -> new.*\nrename? ne.* -> x.*\n");
    folder.write("v2.keys.yaml", "format: 1\ntensors:\n  new.w: f32 [1]\n");
    folder.tensors("runs/1/last.safetensors", "old.w f32 [1] 1");
    folder.tensors("runs/2/last.safetensors", "old.w f32 [1] 2");
    folder.tensors("runs/wrong.safetensors", "other f32 [1] 3");
    folder.tensors("runs/done.safetensors", "new.w f32 [1] 4");
    folder
}

fn migrate(folder: &Folder, files: &[&str]) -> Ran {
    let job = ["--rules", "r.rules", "--target", "v2.keys.yaml", "--out-dir", "out", "--no-record"];
    folder.run(&[&job, files].concat())
}

const ALL: [&str; 4] =
    ["runs/1/last.safetensors", "runs/wrong.safetensors", "runs/2/last.safetensors", "runs/done.safetensors"];

#[test]
fn one_failure_stops_no_other_and_the_worst_is_the_exit_code() {
    for jobs in ["1", "3"] {
        let folder = folder();
        let ran = migrate(&folder, &[&ALL[..], &["--jobs", jobs]].concat());
        assert_eq!(ran.exit, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("runs/wrong.safetensors:\nerror[unmatched-pattern]"), "{}", ran.stderr);
        let table = "\
checkpoint               outcome                    output                  size
runs/1/last.safetensors  migrated                   out/1/last.safetensors  76 bytes
runs/wrong.safetensors   failed: unmatched-pattern
runs/2/last.safetensors  migrated                   out/2/last.safetensors  76 bytes
runs/done.safetensors    nothing to do
4 checkpoints: 2 migrated, 1 nothing to do, 1 failed
";
        assert!(ran.stderr.ends_with(table), "{}", ran.stderr);
        let of = |name: &str| crate::tensors::to_text(&folder.tensors_of(name));
        assert_eq!(of("out/1/last.safetensors"), "new.w f32 [1] 1\n");
        assert_eq!(of("out/2/last.safetensors"), "new.w f32 [1] 2\n");
        assert!(!folder.has("out/wrong.safetensors") && !folder.has("out/done.safetensors"));
    }
}

#[test]
fn fail_fast_begins_no_other() {
    let folder = folder();
    let ran = migrate(&folder, &[&ALL[..], &["--fail-fast", "--json"]].concat());
    assert_eq!(ran.exit, 1);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let files = told["files"].as_array().unwrap();
    let outcomes: Vec<&str> = files.iter().map(|file| file["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["migrated", "failed", "not_run", "not_run"]);
    assert_eq!(files[1]["problems"][0]["code"], "unmatched-pattern");
    assert_eq!(files[0]["report"]["outputs"][0]["path"], "out/1/last.safetensors");
    assert!(!folder.has("out/2"));
}

#[test]
fn names_are_kept_where_they_are_different() {
    let folder = folder();
    let ran = migrate(&folder, &["runs/1/last.safetensors", "runs/done.safetensors"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(folder.has("out/last.safetensors"));
    let ran = migrate(&folder, &["runs/2/last.safetensors"]);
    assert_eq!(ran.exit, 2, "what is there is not replaced");
    assert!(ran.stderr.contains("error[output-exists]"), "{}", ran.stderr);
    let ran = migrate(&folder, &["runs/2/last.safetensors", "--force"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(crate::tensors::to_text(&folder.tensors_of("out/last.safetensors")), "new.w f32 [1] 2\n");
}

#[test]
fn outputs_in_each_others_place_are_refused_before_anything_is_written() {
    let folder = folder();
    for (files, message) in [
        (&["runs/1/last.safetensors", "./runs/1/last.safetensors"][..], "would both become"),
        (&["a=runs/1/last.safetensors", "runs/2/last.safetensors"][..], "has a name for its keys"),
    ] {
        let ran = migrate(&folder, files);
        assert_eq!(ran.exit, 2);
        assert!(ran.stderr.contains("error[output]") && ran.stderr.contains(message), "{}", ran.stderr);
    }
    let job = ["--rules", "r.rules", "--no-target", "--force", "--out-dir", "runs/1"];
    let ran = folder.run(&[&job[..], &["runs/1/last.safetensors", "runs/wrong.safetensors"]].concat());
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("is one of the inputs"), "{}", ran.stderr);
    let ran = folder.run(&[&job[..5], &["r.rules", "runs/done.safetensors"]].concat());
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("`r.rules` is no folder"), "{}", ran.stderr);
    for option in ["--jobs=2", "--fail-fast"] {
        let job = ["--rules", "r.rules", "--no-target", "runs/done.safetensors", "-o", "x.pt"];
        assert_eq!(folder.run(&[&job[..], &[option]].concat()).exit, 2, "{option} without a folder");
    }
    assert!(!folder.has("out"));
}

#[test]
fn a_dry_run_writes_nothing_and_warnings_are_shown_once() {
    let folder = folder();
    folder.write("r.rules", "rename old.{x} -> new.w\n");
    let files = ["runs/1/last.safetensors", "runs/2/last.safetensors", "--dry-run"];
    let ran = migrate(&folder, &files);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("warning[").count(), 1, "{}", ran.stderr);
    assert!(ran.stdout.ends_with("2 checkpoints: 2 would be migrated\n"), "{}", ran.stdout);
    assert!(!folder.has("out"));
}

#[test]
fn shards_stay_shards_in_a_folder_of_their_own() {
    let folder = folder();
    let split = ["--rules", "r.rules", "runs/done.safetensors", "-o", "runs/m/", "--no-target"];
    folder.write("r.rules", "rename new.* -> old.*\n");
    assert_eq!(folder.run(&split).exit, 0);
    folder.write("r.rules", "rename old.* -> new.*\n");
    let index = "runs/m/model.safetensors.index.json";
    for input in ["runs/m", index] {
        let ran = migrate(&folder, &[input, "runs/1/last.safetensors", "--force"]);
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        assert!(folder.has("out/m/model.safetensors.index.json"), "{input}");
        std::fs::remove_dir_all(folder.path("out/m")).unwrap();
    }
}
