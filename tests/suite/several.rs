//! Several inputs, as shards or under names, and several outputs.

use crate::command::{Folder, Ran};

/// Two files with one key each way: `w` in both, and a key of their own.
fn folder(rules: &str) -> Folder {
    let folder = Folder::new();
    folder.tensors("a.safetensors", "w f32 [1, 2] 1 2\nonly.a f32 [1] 3");
    folder.tensors("b.safetensors", "w f32 [1, 2] 4 5\nonly.b f32 [1] 6");
    folder.write("r.rules", rules);
    folder
}

fn migrate(folder: &Folder, files: &[&str]) -> Ran {
    folder.run(&[&["--rules", "r.rules", "--no-record"], files].concat())
}

fn lines(folder: &Folder, name: &str) -> String {
    crate::tensors::to_text(&folder.tensors_of(name))
}

#[test]
fn named_inputs_put_their_keys_under_their_names() {
    let folder = folder("merge r{r}.w -> w over r dim 0\nrename r{_}.only.{x} -> {x}\n");
    let files = ["r0=a.safetensors", "r1=b.safetensors", "-o", "out.safetensors", "--no-target"];
    let ran = migrate(&folder, &files);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(lines(&folder, "out.safetensors"), "w f32 [2, 2] 1 2 4 5\na f32 [1] 3\nb f32 [1] 6\n");
}

#[test]
fn inputs_without_names_are_shards_and_share_no_key() {
    let folder = folder("rename only.* -> *\n");
    let ran = migrate(&folder, &["a.safetensors", "b.safetensors", "-o", "out.safetensors", "--no-target"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("error[shared-key]: `w` is in `a.safetensors` and in `b.safetensors`"));
    assert!(ran.stderr.contains("`r0=a.pt r1=b.pt`"), "{}", ran.stderr);
    folder.tensors("b.safetensors", "only.b f32 [1] 6");
    let ran = migrate(&folder, &["a.safetensors", "b.safetensors", "-o", "out.safetensors", "--no-target"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(lines(&folder, "out.safetensors"), "w f32 [1, 2] 1 2\na f32 [1] 3\nb f32 [1] 6\n");
}

#[test]
fn outputs_take_the_keys_under_their_names() {
    let folder = folder("split w -> r{r}.w over r into 2 dim 1\nrename only.a -> r1.a\n");
    let files = ["a.safetensors", "-o", "r0=x.safetensors", "-o", "r1=y.safetensors"];
    let ran = migrate(&folder, &[&files[..], &["--no-target"]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(lines(&folder, "x.safetensors"), "w f32 [1, 1] 1\n");
    assert_eq!(lines(&folder, "y.safetensors"), "w f32 [1, 1] 2\na f32 [1] 3\n");
    let targets = ["--target", "r0=x.safetensors", "--target", "r1=y.safetensors", "--force"];
    assert_eq!(migrate(&folder, &[&files[..], &targets].concat()).exit, 0);
    let ran = migrate(&folder, &[&files[..], &targets[..2], &["--force"]].concat());
    assert_eq!(ran.exit, 1);
    assert!(ran.stderr.contains("r1.w"), "{}", ran.stderr);
}

#[test]
fn a_key_that_no_output_takes_is_an_error_and_no_output_appears() {
    let folder = folder("split w -> r{r}.w over r into 2 dim 1\n");
    let files = ["a.safetensors", "-o", "r0=x.safetensors", "-o", "r1=y.safetensors", "--no-target"];
    let ran = migrate(&folder, &files);
    assert_eq!(ran.exit, 1);
    assert!(ran.stderr.contains("error[no-output]: `only.a` belongs to none of the outputs"));
    assert!(!folder.has("x.safetensors") && !folder.has("y.safetensors"));
}

#[test]
fn several_outputs_need_names_and_files_of_their_own() {
    let folder = folder("rename? x -> y\n");
    for outputs in [
        &["-o", "x.safetensors", "-o", "y.safetensors"],
        &["-o", "r0=x.safetensors", "-o", "r0=y.safetensors"],
        &["-o", "r0=x.safetensors", "-o", "r1=x.safetensors"],
        &["-o", "r0=x.safetensors", "-o", "r1=a.safetensors"],
    ] {
        let ran = migrate(&folder, &[&["a.safetensors", "--no-target"][..], outputs].concat());
        assert_eq!(ran.exit, 2, "{outputs:?}");
        assert!(ran.stderr.contains("error[output]"), "{}", ran.stderr);
    }
    assert_eq!(folder.names(), ["a.safetensors", "b.safetensors", "r.rules"]);
}
