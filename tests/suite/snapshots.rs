//! What people and machines are shown, whole: plans, key sets, differences, help.

use std::path::Path;

use crate::command::{Folder, Ran};

/// All that a run says.
fn shown(ran: &Ran) -> String {
    let stream = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("--- {name}\n{text}"),
    };
    format!("exit {}\n{}{}", ran.exit, stream("stdout", &ran.stdout), stream("stderr", &ran.stderr))
}

/// A folder with rules, a checkpoint and the model that it shall fit.
fn folder(rules: &str, old: &str, model: &str) -> Folder {
    let folder = Folder::new();
    folder.write("r.rules", rules).tensors("old.safetensors", old).tensors("model.safetensors", model);
    folder
}

fn plan(folder: &Folder, more: &[&str]) -> String {
    let mut arguments = vec!["plan", "--rules", "r.rules", "old.safetensors"];
    if !more.contains(&"--no-target") {
        arguments.extend(["--target", "model.safetensors"]);
    }
    arguments.extend(more);
    shown(&folder.run(&arguments))
}

/// One block of an encoder for each index.
fn lines(count: usize, block: impl Fn(usize) -> String) -> String {
    (0..count).map(block).collect()
}

/// A renamed encoder with its counters dropped.
fn encoder() -> Folder {
    let old = lines(12, |i| {
        format!(
            "bert.encoder.layer.{i}.attention.self.query.weight f32 [4, 4]\n\
             bert.encoder.layer.{i}.attention.self.query.bias f32 [4]\n\
             bert.encoder.layer.{i}.LayerNorm.gamma f32 [4]\n"
        )
    });
    let model = lines(12, |i| {
        format!(
            "encoder.blocks.{i}.attn.q.weight f32 [4, 4]\nencoder.blocks.{i}.attn.q.bias f32 [4]\n\
             encoder.blocks.{i}.norm.weight f32 [4]\n"
        )
    });
    let rules = "# BERT's encoder under its new names\n\
                 rename bert.encoder.layer.{i}.attention.self.query.* -> encoder.blocks.{i}.attn.q.*\n\
                 rename bert.encoder.layer.{i}.LayerNorm.gamma -> encoder.blocks.{i}.norm.weight\n\
                 drop **.position_ids\n";
    folder(rules, &format!("bert.embeddings.position_ids i64 [1, 8]\n{old}"), &model)
}

/// Joined attention weights, cut apart.
fn qkv() -> Folder {
    let old = lines(3, |i| {
        format!(
            "blocks.{i}.attn.qkv.weight f32 [12, 4]\nblocks.{i}.attn.qkv.bias f32 [12]\nblocks.{i}.ln.weight f32 [4]\n"
        )
    });
    let model = lines(3, |i| {
        let part = |p: &str| {
            format!("blocks.{i}.attn.{p}_proj.weight f16 [4, 4]\nblocks.{i}.attn.{p}_proj.bias f16 [4]\n")
        };
        format!("{}{}{}blocks.{i}.ln.weight f32 [4]\n", part("q"), part("k"), part("v"))
    });
    let rules = "split **.qkv.weight -> **.{q,k,v}_proj.weight dim 0\n\
                 split **.qkv.bias -> **.{q,k,v}_proj.bias dim 0\n\
                 cast **.attn.** to f16\n";
    folder(rules, &old, &model)
}

/// Experts joined into one tensor a layer.
fn experts() -> Folder {
    let old = lines(2, |layer| {
        lines(4, |e| format!("layers.{layer}.experts.{e}.w1.weight f32 [3, 2]\n"))
            + &format!("layers.{layer}.gate.weight f32 [4, 2]\n")
    });
    let model = lines(2, |layer| {
        format!(
            "layers.{layer}.moe.w1 f32 [12, 2]\nlayers.{layer}.moe.router.weight f32 [4, 2]\nlayers.{layer}.moe.bias f32 [4]\n"
        )
    });
    let rules = "under layers.{l} {\n  merge experts.{e}.w1.weight -> moe.w1 over e dim 0\n  \
                 rename gate.weight -> moe.router.weight\n}\nfill **.moe.bias value 0\n";
    folder(rules, &old, &model)
}

/// Two architectures that share a few shapes.
fn other_architecture() -> Folder {
    let old = lines(3, |i| {
        format!(
            "model.decoder.blocks.x_{i}_0.conv1.0.weight f32 [8, {}, 3, 3]\n\
             model.decoder.blocks.x_{i}_0.conv1.1.weight f32 [8]\nmodel.decoder.blocks.x_{i}_0.conv1.1.bias f32 [8]\n",
            4 << i
        )
    });
    let model = "model.encoder.stem.weight f32 [2, 3, 3, 3]\nmodel.decoder.aspp.0.convs.0.0.weight f32 [8, 32, 1, 1]\n\
                 model.decoder.aspp.0.convs.0.1.weight f32 [8]\nmodel.decoder.aspp.0.convs.0.1.bias f32 [8]\n";
    let stem = "model.encoder.stem.weight f32 [2, 3, 3, 3]\n";
    folder("rename model.decoder.blocks.* -> model.decoder.aspp.*\n", &format!("{stem}{old}"), model)
}

#[test]
fn plan_of_a_renamed_encoder() {
    insta::assert_snapshot!(plan(&encoder(), &[]));
}

#[test]
fn plan_of_the_example_with_every_line() {
    let job = ["plan", "--verbose", "--rules", "v1_to_v2.rules", "v1.ckpt"];
    insta::assert_snapshot!(shown(&example().run(&job)));
}

#[test]
fn plan_of_a_split() {
    insta::assert_snapshot!(plan(&qkv(), &[]));
}

#[test]
fn plan_of_joined_experts_as_json() {
    insta::assert_snapshot!(plan(&experts(), &["--json"]));
}

#[test]
fn plan_of_joined_experts() {
    insta::assert_snapshot!(plan(&experts(), &[]));
}

#[test]
fn plan_towards_another_architecture() {
    insta::assert_snapshot!(plan(&other_architecture(), &[]));
}

#[test]
fn plan_towards_another_architecture_as_json() {
    insta::assert_snapshot!(plan(&other_architecture(), &["--json"]));
}

#[test]
fn plan_without_a_target() {
    insta::assert_snapshot!(plan(&qkv(), &["--no-target"]));
}

#[test]
fn plan_of_what_shapes_do_not_prove() {
    // The first five could be other ones and fit as well; the others could not.
    let rules = "transpose square\nrename {\n  one.w -> two.w\n  two.w -> one.w\n}\nmerge x, y -> z dim 0\nflip f dim 0\n\
                 rename h.{i}.k -> g.{1 - i}.k\ntranspose oblong\nrename old.* -> new.*\ncast square to f32\nreshape f to [2]\n";
    let old = "square f32 [2, 2]\noblong f32 [2, 3]\none.w f32 [1]\ntwo.w f32 [1]\nx f32 [1]\ny f32 [1]\n\
               f f32 [2]\nh.0.k f32 [1]\nh.1.k f32 [1]\nold.a f32 [1]\nold.b f32 [1]\n";
    let folder = folder(rules, old, "");
    insta::assert_snapshot!(plan(&folder, &["--no-target"]));
}

#[test]
fn plan_of_what_changes_nothing() {
    let rules = "reshape a to [2, 2]\ncast a to f32\npermute a dims [0, 1]\nslice a at [0:2, :]\n";
    let folder = folder(rules, "a f32 [2, 2]\nempty f32 [0, 4]\n", "");
    let told = plan(&folder, &["--no-target"]);
    assert!(told.contains("2 tensors out of 2: 2 as they are\n"), "{told}");
    // Parts of nothing are equal to it, and still tensors of their own.
    folder.write("r.rules", "split empty -> one, two dim 0 sizes [0, 0]\n");
    let told = plan(&folder, &["--no-target"]);
    assert!(told.contains("3 tensors out of 2: 1 as they are, 2 computed\n"), "{told}");
}

#[test]
fn success_of_the_main_job() {
    let folder = qkv();
    let job =
        ["--rules", "r.rules", "old.safetensors", "-o", "new.safetensors", "--target", "model.safetensors"];
    insta::assert_snapshot!(shown(&folder.run(&job)));
}

#[test]
fn success_of_the_main_job_as_json() {
    let folder = qkv();
    let job = ["--rules", "r.rules", "old.safetensors", "-o", "new.safetensors", "--no-target", "--json"];
    insta::assert_snapshot!(shown(&folder.run(&job)));
}

#[test]
fn success_of_the_example() {
    let folder = example();
    let job = ["--rules", "v1_to_v2.rules", "v1.ckpt", "-o", "v2.ckpt"];
    insta::assert_snapshot!(shown(&folder.run(&job)));
}

#[test]
fn plan_of_the_example() {
    insta::assert_snapshot!(shown(&example().run(&["plan", "--rules", "v1_to_v2.rules", "v1.ckpt"])));
}

#[test]
fn inspect_a_safetensors_file() {
    insta::assert_snapshot!(shown(&encoder().run(&["inspect", "old.safetensors"])));
}

#[test]
fn inspect_the_modules_of_one_level() {
    insta::assert_snapshot!(shown(&example().run(&["inspect", "--depth", "2", "v1.ckpt"])));
}

#[test]
fn inspect_the_example_as_json() {
    insta::assert_snapshot!(shown(&example().run(&["inspect", "--json", "--depth", "2", "v1.ckpt"])));
}

#[test]
fn inspect_what_was_migrated() {
    let folder = example();
    folder.run(&["--rules", "v1_to_v2.rules", "v1.ckpt", "-o", "new.ckpt"]);
    insta::assert_snapshot!(shown(&folder.run(&["inspect", "--depth", "1", "new.ckpt"])));
}

#[test]
fn inspect_every_key() {
    insta::assert_snapshot!(shown(&experts().run(&["inspect", "--keys", "old.safetensors"])));
}

#[test]
fn inspect_the_example() {
    insta::assert_snapshot!(shown(&example().run(&["inspect", "v1.ckpt"])));
}

#[test]
fn diff_of_safetensors_files() {
    insta::assert_snapshot!(shown(&encoder().run(&["diff", "old.safetensors", "model.safetensors"])));
}

#[test]
fn diff_of_the_example() {
    insta::assert_snapshot!(shown(&example().run(&["diff", "v1.ckpt", "v2.keys.yaml"])));
}

#[test]
fn help() {
    insta::assert_snapshot!(shown(&Folder::new().run(&["--help"])));
}

/// The shipped example: a checkpoint as Lightning writes it, its rules and both key sets.
fn example() -> Folder {
    let folder = Folder::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/example");
    for name in ["v1.ckpt", "v1.keys.yaml", "v2.keys.yaml", "v1_to_v2.rules"] {
        folder.write(name, std::fs::read(shipped.join(name)).unwrap());
    }
    folder
}
