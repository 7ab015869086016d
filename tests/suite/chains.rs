//! Folders of versions: several rule files as one plan, the record, and `migrate check`.

use serde_json::{Value, json};

use crate::command::{Folder, Ran};
use crate::docs::page;
use crate::safetensors;

const OLD: &str = "enc.0.q f32 [2, 2]\nenc.0.k f32 [2, 2]\nenc.0.v f32 [2, 2]\nhead.w f32 [3, 2]\n";

pub fn shown(ran: &Ran) -> String {
    format!("exit {}\n--- stdout\n{}--- stderr\n{}", ran.exit, ran.stdout, ran.stderr)
}

/// A key set of lines `key: dtype [shape]`.
pub fn keys(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("format: 1\ntensors:\n{lines}")
}

/// A project of four versions: a rename, a joined qkv, a new head.
pub fn project() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("m")).unwrap();
    let qkv = ["encoder.0.q: f32 [2, 2]", "encoder.0.k: f32 [2, 2]", "encoder.0.v: f32 [2, 2]"];
    let enc = ["enc.0.q: f32 [2, 2]", "enc.0.k: f32 [2, 2]", "enc.0.v: f32 [2, 2]"];
    folder
        .write("m/v1.keys.yaml", keys(&[&enc[..], &["head.w: f32 [3, 2]"]].concat()))
        .write("m/v2.keys.yaml", keys(&[&qkv[..], &["head.w: f32 [3, 2]"]].concat()))
        .write("m/v3.keys.yaml", keys(&["encoder.0.qkv: f32 [6, 2]", "head.w: f32 [3, 2]"]))
        .write("m/v4.keys.yaml", keys(&["encoder.0.qkv: f32 [6, 2]", "cls.w: f32 [5, 2]"]))
        .write("m/common.rules", "rename enc.* -> encoder.*\n")
        .write("m/v1_to_v2.rules", "migration v1 -> v2 \"one name\"\ninclude \"common.rules\"\n")
        .write("m/v2_to_v3.rules", "let dim = 0\nmerge **.{q,k,v} -> **.qkv dim dim\n")
        .write("m/v3_to_v4.rules", "migration v3 -> v4\ndrop head.*\nleave cls.*\n")
        .tensors("old.safetensors", OLD);
    folder
}

pub fn run(folder: &Folder, words: &str) -> Ran {
    folder.run(&words.split(' ').collect::<Vec<_>>())
}

pub fn good(folder: &Folder, words: &str) -> String {
    let ran = run(folder, words);
    assert_eq!(ran.exit, 0, "{words}: {}", ran.stderr);
    ran.stderr
}

fn record(folder: &Folder, name: &str) -> Value {
    let header = safetensors::header(&folder.read(name));
    serde_json::from_str(header["__metadata__"]["migrate"].as_str().unwrap()).unwrap()
}

#[test]
fn one_pass_gives_the_bytes_of_step_by_step() {
    let folder = project();
    let told = good(&folder, "--rules m old.safetensors -o all.safetensors");
    assert!(told.starts_with("v1 -> v2 -> v3 -> v4\nall.safetensors: 1 tensor out of 4"), "{told}");
    good(&folder, "--rules m old.safetensors -o v2.safetensors --to v2");
    good(&folder, "--rules m v2.safetensors -o v3.safetensors --to v3");
    good(&folder, "--rules m v3.safetensors -o v4.safetensors");
    assert_eq!(folder.read("all.safetensors"), folder.read("v4.safetensors"));
    let again = good(&folder, "--rules m all.safetensors -o again.safetensors");
    assert!(again.contains("nothing to do"), "{again}");
    assert!(!folder.has("again.safetensors"));
    insta::assert_snapshot!(run(&folder, "plan --rules m old.safetensors").stdout);
}

#[test]
fn an_output_records_all_that_was_done_to_it() {
    let folder = project();
    good(&folder, "--rules m old.safetensors -o new.safetensors");
    let record = record(&folder, "new.safetensors");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(record["tool"], format!("migrate {version}"));
    insta::assert_snapshot!(format!("{record:#}\n").replace(version, "VERSION"));
    let text = page("docs/versions.md");
    let fields = record.as_object().unwrap().keys().chain(record["steps"][0].as_object().unwrap().keys());
    for field in fields {
        assert!(text.contains(&format!("`{field}`")) || text.contains(&format!("\"{field}\"")), "{field}");
    }
    // What the digest is can be told without the program.
    let sha256sum = "4890055a233e2ecdce084ff2c2f2f00e0d9d4deeed9defa7219409f24b215f24";
    assert_eq!(record["steps"][1]["sha256"], sha256sum);
}

#[test]
fn no_record_leaves_none_of_an_earlier_migration() {
    let folder = project();
    good(&folder, "--rules m old.safetensors -o v2.safetensors --to v2");
    good(&folder, "--rules m v2.safetensors -o v3.safetensors --to v3 --no-record");
    let header = safetensors::header(&folder.read("v3.safetensors"));
    assert_eq!(header.get("__metadata__").and_then(|metadata| metadata.get("migrate")), None);
}

#[test]
fn the_way_back_is_proved_written_or_refused() {
    let folder = project();
    good(&folder, "--rules m old.safetensors -o v3.safetensors --to v3");
    let told = good(&folder, "--rules m v3.safetensors -o v1.safetensors --to v1");
    assert!(told.starts_with("v3 -> v2 -> v1\n"), "{told}");
    assert_eq!(folder.tensors_of("v1.safetensors"), folder.tensors_of("old.safetensors"));
    assert_eq!(record(&folder, "v1.safetensors")["steps"][2]["reversed"], json!(true));
    good(&folder, "--rules m v1.safetensors -o v4.safetensors");
    insta::assert_snapshot!(shown(&run(&folder, "--rules m v4.safetensors -o v2.safetensors --to v2")));
    good(&folder, "invert m/v3_to_v4.rules -o m/v4_to_v3.rules");
    good(&folder, "check m");
    good(&folder, "--rules m v4.safetensors -o v2.safetensors --to v2");
    let left = record(&folder, "v2.safetensors")["left"].clone();
    assert_eq!(left, json!(["head.w"]), "what is left to the model is gone back too");
}

#[test]
fn keys_that_are_left_go_through_later_rules() {
    let folder = project();
    folder
        .write(
            "m/v5.keys.yaml",
            keys(&["encoder.0.qkv: f32 [6, 2]", "out.a: f32 [2, 2]", "out.b: f32 [3, 2]"]),
        )
        .write("m/v4_to_v5.rules", "split cls.w -> out.{a,b} dim 0 sizes [2, 3]\n");
    let told = good(&folder, "--rules m old.safetensors -o new.safetensors");
    assert!(told.contains("2 left to the model"), "{told}");
    assert_eq!(record(&folder, "new.safetensors")["left"], json!(["out.a", "out.b"]));
    good(&folder, "--rules m old.safetensors -o v4.safetensors --to v4");
    good(&folder, "--rules m v4.safetensors -o v5.safetensors");
    assert_eq!(folder.read("new.safetensors"), folder.read("v5.safetensors"));
    folder
        .write("m/v6.keys.yaml", keys(&["all: f32 [8, 2]", "out.b: f32 [3, 2]"]))
        .write("m/v5_to_v6.rules", "merge encoder.0.qkv, out.a -> all dim 0\n");
    let ran = run(&folder, "--rules m old.safetensors -o v6.safetensors");
    assert_eq!(ran.exit, 1);
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn one_rule_file_knows_what_was_left_too() {
    let folder = project();
    folder.write("m/v5.keys.yaml", keys(&["encoder.0.qkv: f32 [6, 2]", "out.w: f32 [5, 2]"]));
    folder.write("m/v4_to_v5.rules", "migration v4 -> v5\nrename cls.w -> out.w\nset note = \"five\"\n");
    good(&folder, "--rules m old.safetensors -o new.safetensors");
    good(&folder, "--rules m old.safetensors -o v4.safetensors --to v4");
    good(&folder, "--rules m/v4_to_v5.rules v4.safetensors -o v5.safetensors");
    assert_eq!(folder.read("new.safetensors"), folder.read("v5.safetensors"));
    let planned = run(&folder, "plan --rules m m/v1.keys.yaml").stdout;
    assert!(planned.contains("changes: note = \"five\"\n"), "{planned}");
    assert!(planned.contains("left to the model's own initial value:\n  out.w\n"), "{planned}");
}

#[test]
fn values_are_given_to_the_files_that_have_their_names() {
    let folder = project();
    let ran = run(&folder, "--rules m old.safetensors -o new.safetensors --set dim=1");
    assert!(ran.stderr.contains("m/v2_to_v3.rules:2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("in the step from `v2` to `v3`"), "{}", ran.stderr);
    let ran = run(&folder, "--rules m old.safetensors -o new.safetensors --set dam=1");
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("error[unknown-name]"), "{}", ran.stderr);
}

#[test]
fn a_copy_in_another_dtype_is_the_version() {
    let folder = project();
    folder.tensors("half.safetensors", &OLD.replace("f32", "f16"));
    folder.tensors("target.safetensors", "encoder.0.qkv f16 [6, 2]\nhead.w f16 [3, 2]\n");
    let refused = run(&folder, "--rules m half.safetensors -o new.safetensors --to v3");
    assert!(refused.stderr.starts_with("error[dtype-mismatch]"), "{}", refused.stderr);
    good(&folder, "--rules m half.safetensors -o new.safetensors --to v3 --target target.safetensors");
}

#[test]
fn what_a_checkpoint_is_must_be_clear() {
    let folder = project();
    let mut told = String::new();
    let mut tell = |folder: &Folder, words: &str| {
        told.push_str(&format!("$ migrate {words}\n{}\n", shown(&run(folder, words))));
    };
    folder.tensors("other.safetensors", "enc.0.q f32 [2, 2]\nstem f32 [1]\n");
    tell(&folder, "plan --rules m other.safetensors");
    tell(&folder, "plan --rules m old.safetensors --to v7");
    tell(&folder, "plan --rules m/v2_to_v3.rules old.safetensors --to v3");
    good(&folder, "--rules m old.safetensors -o v3.safetensors --to v3");
    folder.write("m/common.rules", "# now with a comment\nrename enc.* -> encoder.*\n");
    tell(&folder, "--rules m v3.safetensors -o v4.safetensors");
    good(&folder, "--rules m v3.safetensors -o v4.safetensors --from v3");
    folder.write("m/v2_to_v3.rules", "scale ** by 0.5\n");
    folder.write("m/v3.keys.yaml", folder.read("m/v2.keys.yaml"));
    folder.write("m/v3_to_v4.rules", "merge **.{q,k,v} -> **.qkv dim 0\ndrop head.*\nleave cls.*\n");
    good(&folder, "--rules m old.safetensors -o v2.safetensors --to v2 --no-record");
    tell(&folder, "--rules m v2.safetensors -o new.safetensors");
    insta::assert_snapshot!(told);
}

#[test]
fn check_proves_a_folder() {
    let folder = project();
    insta::assert_snapshot!(shown(&run(&folder, "check m")));
    insta::assert_snapshot!("check_as_json", run(&folder, "check m --json").stdout);
}

#[test]
fn check_finds_what_is_wrong_with_a_folder() {
    let mut told = String::new();
    let mut case = |title: &str, change: &dyn Fn(&Folder)| {
        let folder = project();
        change(&folder);
        let ran = run(&folder, "check m");
        assert_ne!(ran.exit, 0, "{title}");
        told.push_str(&format!("== {title}: exit {}\n{}\n", ran.exit, ran.stderr));
    };
    let remove = |folder: &Folder, name: &str| std::fs::remove_file(folder.path(name)).unwrap();
    case("a gap", &|folder| remove(folder, "m/v2_to_v3.rules"));
    case("a key set that nothing leads to", &|folder| {
        folder.write("m/v5.keys.yaml", keys(&["a: f32 [1]"]));
    });
    case("a fork", &|folder| {
        folder.write("m/v2_to_v4.rules", "leave **\n");
    });
    case("a circle", &|folder| {
        folder.write("m/a_to_b.rules", "drop a\n").write("m/b_to_a.rules", "drop b\n");
        folder.write("m/a.keys.yaml", keys(&["a: f32 [1]"])).write("m/b.keys.yaml", keys(&["a: f32 [1]"]));
        for name in ["v1_to_v2", "v2_to_v3", "v3_to_v4"] {
            remove(folder, &format!("m/{name}.rules"));
        }
        for name in ["v1", "v2", "v3", "v4"] {
            remove(folder, &format!("m/{name}.keys.yaml"));
        }
    });
    case("a key set that its rules do not produce", &|folder| {
        folder.write("m/v3.keys.yaml", keys(&["encoder.0.qkv: f32 [6, 2]", "heads.w: f32 [3, 2]"]));
    });
    case("a version without a key set, and another mistake", &|folder| {
        remove(folder, "m/v3.keys.yaml");
        folder.write("m/common.rules", "rename encoder.* -> enc.*\n");
    });
    case("names that disagree", &|folder| {
        folder.write("m/v3_to_v4.rules", "migration v3 -> v5\ndrop head.*\nleave cls.*\n");
        folder.write(
            "m/v2.keys.yaml",
            String::from_utf8(folder.read("m/v2.keys.yaml")).unwrap() + "name: v3\n",
        );
    });
    case("files that cannot be read", &|folder| {
        folder.write("m/v3_to_v4.rules", "drup head.*\n").write("m/v2.keys.yaml", "format: 9\n");
    });
    case("a way back that does not fit", &|folder| {
        folder.write("m/v2_to_v1.rules", "rename encoder.* -> enco.*\n");
    });
    case("a long way back", &|folder| {
        folder.write("m/v4_to_v1.rules", "keep **\n");
    });
    case("nothing", &|folder| {
        std::fs::remove_dir_all(folder.path("m")).unwrap();
        std::fs::create_dir(folder.path("m")).unwrap();
    });
    case("no folder", &|folder| std::fs::remove_dir_all(folder.path("m")).unwrap());
    insta::assert_snapshot!(told);
}

#[test]
fn ties_of_a_version_hold_in_the_next() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("m")).unwrap();
    folder
        .write("m/v1.keys.yaml", keys(&["wte: f32 [2, 2]"]))
        .write("m/v1_to_v2.rules", "rename wte -> emb\n")
        .write("m/v2.keys.yaml", keys(&["emb: f32 [2, 2]", "out: f32 [2, 2] tied emb"]))
        .write("m/v2_to_v3.rules", "transpose emb\n")
        .write("m/v3.keys.yaml", keys(&["emb: f32 [2, 2]", "out: f32 [2, 2] tied emb"]))
        .tensors("old.safetensors", "wte f32 [2, 2]\n");
    let ran = run(&folder, "--rules m old.safetensors -o new.safetensors");
    assert!(ran.stderr.starts_with("error[tied-apart]"), "{}", ran.stderr);
    folder.write("m/v2_to_v3.rules", "transpose emb, out\n");
    good(&folder, "--rules m old.safetensors -o new.pt");
}
