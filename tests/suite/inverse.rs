//! `migrate invert`: the text of the way back, and the way there and back through files.

use std::path::Path;

use crate::command::{Folder, Ran};
use crate::tensors;

fn shown(ran: &Ran) -> String {
    format!("exit {}\n--- stdout\n{}--- stderr\n{}", ran.exit, ran.stdout, ran.stderr)
}

/// A folder with rules, a checkpoint that they fit, and what they make of it.
fn folder(rules: &str, old: &str) -> Folder {
    let folder = Folder::new();
    folder.write("r.rules", rules).tensors("old.safetensors", old);
    let ran = folder.run(&["--rules", "r.rules", "old.safetensors", "-o", "new.safetensors", "--no-target"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    folder
}

/// The way back of rules over a checkpoint, as it is told.
fn way_back(rules: &str, old: &str) -> String {
    shown(&folder(rules, old).run(&["invert", "r.rules", "old.safetensors", "--target", "new.safetensors"]))
}

/// Applies rules and their way back to a checkpoint, and compares all tensors, byte for byte.
fn there_and_back(rules: &str, old: &str) {
    let folder = folder(rules, old);
    let target = ["--target", "new.safetensors", "-o", "back.rules"];
    let ran = folder.run(&[&["invert", "r.rules", "old.safetensors"], &target[..]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains("not had back"), "{}", ran.stderr);
    let back = ["--rules", "back.rules", "new.safetensors", "-o", "back.safetensors"];
    let ran = folder.run(&[&back[..], &["--target", "old.safetensors"]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(folder.tensors_of("back.safetensors"), tensors::parse(old));
}

/// Lines for each layer of a small model.
fn layers(count: usize, lines: &[&str]) -> String {
    let layer = |i: usize| lines.iter().map(move |line| line.replace('#', &i.to_string()) + "\n");
    (0..count).flat_map(layer).collect()
}

fn encoder() -> String {
    let head = "embed.weight f32 [8, 4]\nnorm.weight f32 [4]\n";
    let lines = [
        "encoder.layer.#.attn.query.weight f32 [4, 4]",
        "encoder.layer.#.attn.key.weight f32 [4, 4]",
        "encoder.layer.#.attn.value.weight f32 [4, 4]",
        "encoder.layer.#.norm.gamma f32 [4]",
        "encoder.layer.#.norm.beta f32 [4]",
    ];
    format!("{head}{}", layers(4, &lines))
}

#[test]
fn renames_shifts_and_alternatives() {
    let rules = "rename encoder.layer.{i}.* -> blocks.{i+1}.*\nrename **.norm.{gamma|beta} -> **.norm.{weight|bias}\n\
                 rename {\n  embed.* -> tok.*\n  norm.* -> embed.*\n}";
    insta::assert_snapshot!(way_back(rules, &encoder()));
    there_and_back(rules, &encoder());
}

#[test]
fn joins_and_parts() {
    let rules = "merge **.{query,key,value}.weight -> **.qkv.weight dim 0\n\
                 stack encoder.layer.{i}.norm.gamma -> gammas over i dim 0\n\
                 split embed.weight -> embed.{i}.weight over i into 2 dim 0\n\
                 unstack norm.weight -> scalars.{a,b,c,d} dim 0";
    insta::assert_snapshot!(way_back(rules, &encoder()));
    there_and_back(rules, &encoder());
}

#[test]
fn layouts() {
    let rules = "reshape **.query.weight to [shape[0], 1, 2, 2]\npermute **.query.weight dims [2, 0, 3, 1]\n\
                 transpose **.key.weight\nflip **.value.weight dim 1\n\
                 rearrange embed.weight by \"(h d) i -> (d h) i\" with h=2\nselect norm.weight at [2:, 1, 0] dim 0\n\
                 pad encoder.layer.*.norm.beta to [6] value 1\nrepeat **.gamma by 2 dim 0";
    insta::assert_snapshot!(way_back(rules, &encoder()));
    there_and_back(rules, &encoder());
}

#[test]
fn flat_blocks_and_stages() {
    let old = layers(6, &["blocks.#.w f32 [2]", "blocks.#.b f32 [1]"]);
    let rules = "let depths = [1, 2, 3]\n\
                 rename blocks.{i}.* -> stages.{group(i, depths)}.{within(i, depths)}.*";
    insta::assert_snapshot!(way_back(rules, &old));
    there_and_back(rules, &old);
    let rules = "rename blocks.{i}.* -> s.{i//3}.b.{i%3}.*";
    insta::assert_snapshot!("rows_and_columns", way_back(rules, &old));
    there_and_back(rules, &old);
}

#[test]
fn numbers_and_casts() {
    let old = "a f32 [4]\nb f16 [4]\nc f32 [4]\nd f32 [4]\n";
    let rules = "scale a by 0.3\noffset d by 0.5\ncast b to f32\ncast c to f16";
    insta::assert_snapshot!(way_back(rules, old));
}

#[test]
fn what_is_lost_is_named() {
    let old = "w f32 [2, 2]\nlora_a f32 [1, 2]\nlora_b f32 [2, 1]\nbn.num_batches_tracked i64 []\n\
               wte f32 [4, 2]\nmid f32 [4]\nqkv f32 [6]\nk_bias f32 [2] 0 0\n";
    let rules = "compute w = w + 0.5 * (lora_b @ lora_a)\ndrop **.num_batches_tracked\nslice wte at [:3]\n\
                 slice mid at [1:3]\nsplit qkv -> q, k, v dim 0\ndrop k\nassert k_bias value 0\ndrop k_bias";
    insta::assert_snapshot!(way_back(rules, old));
}

#[test]
fn copies_stand_in_for_what_was_dropped() {
    let old = "a.w f32 [2]\na.b f32 [2]\n";
    let rules = "copy a.* -> b.*\ndrop a.*";
    insta::assert_snapshot!(way_back(rules, old));
    there_and_back(rules, old);
}

#[test]
fn other_values_and_dicts() {
    let folder = Folder::new();
    let rules =
        "migration v1 -> v2\nin state_dict\nset epoch = 3\nmove a.lr -> b.lr\nunset old\nrename a -> b";
    let keys = |key: &str| format!("format: 1\ntensors:\n  {key}: f32 [1]\n");
    folder.write("r.rules", rules).write("v1.keys.yaml", keys("a")).write("v2.keys.yaml", keys("b"));
    insta::assert_snapshot!(shown(&folder.run(&["invert", "r.rules"])));
}

#[test]
fn tied_keys_and_keys_that_are_left() {
    let folder = Folder::new();
    let keys = |lines: &str| format!("format: 1\ntensors:\n{lines}");
    let old = "  wte: f32 [4, 2]\n  head: f32 [4, 2] tied wte\n";
    let new = "  embed: f32 [4, 2]\n  out: f32 [4, 2] tied embed\n  pooler: f32 [2]\n";
    folder.write("r.rules", "migration v1 -> v2\ndrop head\nrename wte -> embed\nleave pooler");
    folder.write("v1.keys.yaml", keys(old)).write("v2.keys.yaml", keys(new));
    insta::assert_snapshot!(shown(&folder.run(&["invert", "r.rules"])));
}

#[test]
fn what_is_needed_is_asked_for_and_nothing_is_overwritten() {
    let folder = folder("rename a -> b", "a f32 [1]\n");
    let ran = folder.run(&["invert", "r.rules"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.starts_with("error[no-source]"), "{}", ran.stderr);
    folder.write("out.rules", "# mine\n");
    let arguments =
        ["invert", "r.rules", "old.safetensors", "--target", "new.safetensors", "-o", "out.rules"];
    let ran = folder.run(&arguments);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.starts_with("error[output-exists]"), "{}", ran.stderr);
    assert_eq!(folder.read("out.rules"), b"# mine\n");
    let ran = folder.run(&[&arguments[..], &["--force"]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(folder.read("out.rules"), b"# the way back of r.rules\n\nrename b -> a\n");
}

#[test]
fn the_shipped_rule_sets_have_a_way_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    for name in crate::command::names(&root) {
        let file = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let sets = (format!("{name}/before.keys.yaml"), format!("{name}/after.keys.yaml"));
        if !root.join(&sets.0).is_file() {
            continue;
        }
        let (rules, source, target) = (file(&format!("{name}/{name}.rules")), file(&sets.0), file(&sets.1));
        let mut arguments = vec!["invert", &rules, &source, "--target", &target];
        if name == "llama_hf" {
            arguments.extend(["--set", "head_dim=8"]);
        }
        let ran = Folder::new().run(&arguments);
        assert_eq!(ran.exit, 0, "{name}: {}", ran.stderr);
        assert!(!ran.stderr.contains("other values"), "{name}: {}", ran.stderr);
    }
}

#[test]
fn ways_of_keys_and_of_lines() {
    let rules = "rename encoder.layer.{i}.* -> blocks.{i+1}.*\n\
                 merge **.{query,key,value}.weight -> **.qkv.weight dim 0\ndrop embed.weight";
    let folder = folder(rules, &encoder());
    let explain = |more: &[&str]| {
        let arguments = [&["explain", "r.rules", "old.safetensors", "--no-target"], more].concat();
        shown(&folder.run(&arguments))
    };
    insta::assert_snapshot!("way_of_a_key", explain(&["encoder.layer.2.attn.key.weight"]));
    insta::assert_snapshot!("way_to_a_key", explain(&["blocks.3.attn.qkv.weight"]));
    insta::assert_snapshot!("way_of_a_dropped_key", explain(&["embed.weight"]));
    insta::assert_snapshot!("way_of_an_untouched_key", explain(&["norm.weight"]));
    insta::assert_snapshot!("way_of_a_line", explain(&["--line", "2"]));
    insta::assert_snapshot!("way_of_a_key_as_json", explain(&["encoder.layer.0.norm.beta", "--json"]));
    insta::assert_snapshot!("way_of_an_unknown_key", explain(&["blocks.3.attn.kqv.weight"]));
}
