//! `migrate status` and `migrate verify`: what files are, and whether they are what rules make.

use crate::chains::{good, project, run, shown};

#[test]
fn status_tells_what_each_file_is() {
    let folder = project();
    good(&folder, "--rules m old.safetensors -o v2.safetensors --to v2");
    good(&folder, "--rules m old.safetensors -o v4.safetensors");
    folder.tensors("other.safetensors", "a f32 [1]\n").write("notes.txt", "not a checkpoint\n");
    let files = "old.safetensors v2.safetensors v4.safetensors other.safetensors";
    let mut told = shown(&run(&folder, &format!("status --rules m {files} notes.txt none.pt")));
    told += &shown(&run(&folder, &format!("status --rules m -v --to v1 {files}")));
    told += &shown(&run(&folder, "status --rules m --json v2.safetensors notes.txt"));
    told += &shown(&run(&folder, "status --rules m v2.safetensors m/v4.keys.yaml"));
    insta::assert_snapshot!(told);
}

#[test]
fn verify_finds_the_first_element_that_differs() {
    let folder = project();
    good(&folder, "--rules m old.safetensors -o v3.safetensors --to v3");
    let mut told = shown(&run(&folder, "verify --rules m --to v3 old.safetensors v3.safetensors"));
    good(&folder, "--rules m old.safetensors -o v3.pt --to v3");
    told += &shown(&run(&folder, "verify --rules m --to v3 old.safetensors v3.pt"));
    let mut bytes = folder.read("v3.safetensors");
    // The last element of the last tensor: the sign of a zero, or another small change.
    let last = bytes.len() - 1;
    bytes[last] ^= 0x80;
    folder.write("bad.safetensors", bytes);
    told += &shown(&run(&folder, "verify --rules m --to v3 old.safetensors bad.safetensors"));
    told += &shown(&run(&folder, "verify --rules m --to v3 old.safetensors bad.safetensors --json"));
    told += &shown(&run(&folder, "verify --rules m --to v2 old.safetensors v3.safetensors"));
    folder.tensors("shapes.safetensors", "encoder.0.qkv f32 [12]\nhead.w f16 [3, 2]\n");
    told += &shown(&run(&folder, "verify --rules m --to v3 old.safetensors shapes.safetensors"));
    told += &shown(&run(&folder, "verify --rules m --to v1 old.safetensors v3.safetensors"));
    told += &shown(&run(&folder, "verify --rules m old.safetensors"));
    told += &shown(&run(&folder, "verify --rules m m/v1.keys.yaml v3.safetensors"));
    insta::assert_snapshot!(told);
}

#[test]
fn a_torch_file_that_is_a_state_dict_keeps_its_record_beside_it() {
    let folder = project();
    good(&folder, "--rules m old.safetensors -o v4.pt");
    let ran = run(&folder, "status --rules m v4.pt");
    assert!(ran.stdout.contains("record"), "{}", ran.stdout);
    good(&folder, "invert m/v3_to_v4.rules -o m/v4_to_v3.rules");
    good(&folder, "--rules m v4.pt -o v3.pt --to v3 --no-record");
    let ran = run(&folder, "status --rules m v3.pt");
    assert!(!ran.stdout.contains("record  "), "{}", ran.stdout);
}
