//! `migrate test`: cases, what they expect, and what is told where it does not come out.

use crate::chains::{good, project, run, shown};
use crate::command::Folder;

/// A project with a case with data, one of a key set, and one that fails.
fn tested() -> Folder {
    let folder = project();
    for case in ["data", "keys", "refused"] {
        std::fs::create_dir_all(folder.path(&format!("m/tests/{case}"))).unwrap();
    }
    folder
        .write("m/tests/data/source.safetensors", folder.read("old.safetensors"))
        .write("m/tests/keys/source.keys.yaml", folder.read("m/v2.keys.yaml"))
        .write("m/tests/keys/args", "# only so far\n--to v3\n")
        .write("m/tests/refused/source.keys.yaml", folder.read("m/v3.keys.yaml"))
        .write("m/tests/refused/args", "--rules ../../v3_to_v4.rules\n--target ../../v3.keys.yaml\n");
    folder
}

#[test]
fn what_comes_out_is_taken_over_and_then_expected() {
    let folder = tested();
    let mut told = shown(&run(&folder, "test m"));
    told += &shown(&run(&folder, "test m --update"));
    told += &shown(&run(&folder, "test m"));
    insta::assert_snapshot!(told);
    let mut files = String::new();
    for file in
        ["data/plan.txt", "data/gives.keys.yaml", "data/gives.sha256", "keys/plan.txt", "refused/error.txt"]
    {
        let text = String::from_utf8(folder.read(&format!("m/tests/{file}"))).unwrap();
        files += &format!("== {file}\n{text}\n");
    }
    insta::assert_snapshot!("files_of_cases", files);
    assert!(!folder.has("m/tests/keys/gives.sha256"), "a key set has no data");
}

#[test]
fn a_change_shows_in_plan_keys_and_data() {
    let folder = tested();
    good(&folder, "test m --update");
    // The same keys, and other data.
    folder.write("m/v2_to_v3.rules", "let dim = 0\nmerge **.{k,q,v} -> **.qkv dim dim\n");
    std::fs::write(folder.path("m/tests/keys/gives.sha256"), "").unwrap();
    std::fs::write(folder.path("m/tests/keys/plan.text"), "").unwrap();
    insta::assert_snapshot!(shown(&run(&folder, "test m --junit out.xml")));
    let xml = String::from_utf8(folder.read("out.xml")).unwrap();
    assert!(xml.contains("tests=\"3\" failures=\"2\""), "{xml}");
    assert!(xml.contains("<failure message=\"plan.txt differs\">"), "{xml}");
    assert!(xml.contains("-&gt; **.qkv"), "{xml}");
    let told = good_after_update(&folder);
    assert!(told.contains("removed m/tests/keys/gives.sha256: it was stale"), "{told}");
}

fn good_after_update(folder: &Folder) -> String {
    std::fs::remove_file(folder.path("m/tests/keys/plan.text")).unwrap();
    let told = good(folder, "test m --update");
    good(folder, "test m");
    told
}

#[test]
fn cases_that_cannot_be_run_are_told() {
    let folder = project();
    let mut told = shown(&run(&folder, "test m"));
    std::fs::create_dir_all(folder.path("m/tests/one")).unwrap();
    told += &shown(&run(&folder, "test m"));
    folder.write("m/tests/one/args", "--rulez x\n");
    told += &shown(&run(&folder, "test m"));
    insta::assert_snapshot!(told);
}
