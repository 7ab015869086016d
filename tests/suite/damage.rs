//! Bytes of a torch file that are not those that were written: found whatever is done with them, though torch does
//! not look.

use crate::command::Folder;

/// A torch file with two tensors, a byte of one of which was changed afterwards.
fn damaged(key: &str) -> Folder {
    let folder = Folder::new();
    folder.write("same.rules", "rename x -> a\n").tensors("x.safetensors", "x f32 [4, 6]\nb f32 [4, 6]\n");
    let ran =
        folder.run(&["--rules", "same.rules", "x.safetensors", "-o", "old.pt", "--no-target", "--no-record"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let mut bytes = folder.read("old.pt");
    let tensors = folder.tensors_of("x.safetensors");
    let key = if key == "a" { "x" } else { key };
    let data = &tensors.iter().find(|tensor| tensor.key == key).unwrap().bytes;
    let at = bytes.windows(data.len()).position(|window| window == data.as_slice()).unwrap();
    bytes[at + 17] ^= 4;
    folder.write("old.pt", bytes);
    folder
}

/// Asserts that the damage of `a` or `b` is found by these rules, and leaves no output.
#[track_caller]
fn found(rules: &str, out: &str) {
    for (key, entry) in [("a", "data/0"), ("b", "data/1")] {
        let folder = damaged(key);
        folder.write("r.rules", rules);
        let ran = folder.run(&["--rules", "r.rules", "old.pt", "-o", out, "--no-target"]);
        assert_eq!(ran.exit, 3, "{}", ran.stderr);
        let words = format!("{entry}` is damaged");
        assert!(ran.stderr.contains(&words), "`{words}` is not in: {}", ran.stderr);
        assert!(!folder.has(out));
    }
}

#[test]
fn tensors_that_go_over_whole() {
    found("rename a -> c\n", "new.pt");
    found("rename a -> c\n", "new.safetensors");
}

#[test]
fn tensors_of_which_others_are_computed() {
    found("split a -> a.{q,k} dim 0\ncast b to f16\n", "new.pt");
    found("transpose a\nscale b by 2\n", "new.safetensors");
}

#[test]
fn tensors_that_are_dropped() {
    found("drop a\nslice b at [0:1, :]\n", "new.pt");
    found("drop b\n", "new.safetensors");
}
