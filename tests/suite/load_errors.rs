//! The texts that PyTorch and Lightning raise where a state dict does not load, of several versions.

use std::path::Path;

use crate::command::{Folder, names};

/// The keys of the checkpoint that did not load, below a prefix, as the fixtures' script makes them.
fn checkpoint(prefix: &str) -> String {
    let mut lines = vec![format!("{prefix}scale f32 []")];
    for layer in 0..3 {
        let name = |rest: &str| format!("{prefix}layers.{layer}.{rest}");
        for linear in ["query", "key"] {
            lines.push(format!("{} f32 [4, 4]", name(&format!("{linear}.weight"))));
            lines.push(format!("{} f32 [4]", name(&format!("{linear}.bias"))));
        }
        for buffer in ["weight", "bias", "running_mean", "running_var"] {
            lines.push(format!("{} f32 [4]", name(&format!("norm.{buffer}"))));
        }
        lines.push(format!("{} i64 []", name("norm.num_batches_tracked")));
    }
    lines.push(format!("{prefix}head.weight f32 [10, 4]\n{prefix}head.bias f32 [10]"));
    lines.join("\n")
}

/// Each text with the prefix of its keys.
fn texts() -> Vec<(String, String, &'static str)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/load_errors");
    let files = names(&root).into_iter().filter(|name| name.ends_with(".txt"));
    let texts = files.map(|name| {
        let text = std::fs::read_to_string(root.join(&name)).unwrap();
        let prefix = if name.starts_with("lightning") { "model." } else { "" };
        (name, text, prefix)
    });
    let texts: Vec<_> = texts.collect();
    assert!(texts.len() >= 3);
    texts
}

fn folder(prefix: &str, text: &str) -> Folder {
    let folder = Folder::new();
    folder.tensors("old.safetensors", &checkpoint(prefix)).write("err.txt", text);
    folder
}

#[test]
fn each_text_says_what_differs() {
    for (name, text, prefix) in texts() {
        let ran = folder(prefix, &text).run(&["diff", "old.safetensors", "--error", "err.txt"]);
        assert_eq!(ran.exit, 1, "{name}: {}", ran.stderr);
        let summary = "keys: 15 the same, 12 missing, 12 unexpected, 3 of another shape";
        assert!(ran.stdout.contains(summary), "{name}: {}", ran.stdout);
        if name == "torch-1.13.1.txt" {
            insta::assert_snapshot!(ran.stdout);
        }
    }
}

#[test]
fn each_text_is_a_target_as_far_as_it_tells() {
    for (name, text, prefix) in texts() {
        let folder = folder(prefix, &text);
        let rules = "rename **.{query|key}.* -> **.{q_proj|k_proj}.*\nslice {model|}.head.* at [:5]\n\
                     reshape {model|}.scale to [1]";
        folder.write("r.rules", rules);
        let ran = folder.run(&["plan", "--rules", "r.rules", "old.safetensors", "--target", "err.txt"]);
        assert_eq!(ran.exit, 0, "{name}: {}", ran.stderr);
        let untold = "not checked, for the target does not tell their dtypes and shapes:";
        assert!(ran.stdout.contains(untold), "{name}: {}", ran.stdout);
        // A shape that the text tells is checked.
        folder.write("r.rules", rules.replace(":5", ":6"));
        let ran = folder.run(&["plan", "--rules", "r.rules", "old.safetensors", "--target", "err.txt"]);
        assert!(ran.exit == 1 && ran.stderr.contains("error[shape-mismatch]"), "{name}: {}", ran.stderr);
        // A missing key is one that nothing produces.
        folder.write(
            "r.rules",
            "drop **.{query|key}.*\nslice {model|}.head.* at [:5]\nreshape {model|}.scale to [1]",
        );
        let ran = folder.run(&["plan", "--rules", "r.rules", "old.safetensors", "--target", "err.txt"]);
        assert!(
            ran.exit == 1 && ran.stderr.contains("error[missing-key]: 12 missing"),
            "{name}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_prefix_is_proposed_and_what_is_cut_or_foreign_is_said() {
    let folder = Folder::new();
    folder.tensors("old.safetensors", "module.a.weight f32 [2]\nmodule.a.bias f32 [2]");
    let told = |text: &str| {
        folder.write("err.txt", text);
        folder.run(&["diff", "old.safetensors", "--error", "err.txt"])
    };
    let whole = "Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: \"a.weight\", \"a.bias\". \n\
                 \tUnexpected key(s) in state_dict: \"module.a.weight\", \"module.a.bias\". ";
    insta::assert_snapshot!(told(whole).stdout);
    let cut = "Missing key(s) in state_dict: \"a.weight\", (... and 7 more). ";
    assert!(told(cut).stdout.contains("it counts 7 more keys and does not name them"));
    folder.write("r.rules", "");
    let ran = folder.run(&["plan", "--rules", "r.rules", "old.safetensors", "--target", "err.txt"]);
    assert!(ran.exit == 2 && ran.stderr.contains("error[no-load-error]"), "{}", ran.stderr);
    let foreign = told("Unexpected key(s) in state_dict: \"b\". ");
    assert!(foreign.exit == 1 && foreign.stderr.contains("error[other-load-error]"), "{foreign:?}");
    let ran = folder.run(&["plan", "--rules", "r.rules", "old.safetensors", "--target", "err.txt"]);
    assert!(ran.exit == 1 && ran.stderr.contains("error[other-load-error]"), "{}", ran.stderr);
    let none = told("no such file");
    assert!(none.exit == 2 && none.stderr.contains("error[no-load-error]"), "{none:?}");
}
