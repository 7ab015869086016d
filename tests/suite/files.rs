//! Safety at the command line: what is never overwritten, never half written, never left behind.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::Value;

use crate::command::{Folder, Ran};
use crate::safetensors;
use crate::tensors;

const SOURCE: &str = "a.w f32 [2, 3]\nold f32 [2]\n";
const RULES: &str = "rename a.* -> b.*\ndrop old\n";

/// A folder with rules and a checkpoint that they migrate.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("r.rules", RULES).tensors("old.safetensors", SOURCE);
    folder
}

fn migrate(folder: &Folder, arguments: &[&str]) -> Ran {
    let mut all = vec!["--rules", "r.rules", "--no-target", "old.safetensors"];
    all.extend(arguments);
    folder.run(&all)
}

fn inode(folder: &Folder, name: &str) -> u64 {
    std::fs::metadata(folder.path(name)).unwrap().ino()
}

#[test]
fn an_output_that_exists_is_replaced_only_by_force() {
    let folder = folder();
    folder.write("new.safetensors", "precious");
    let ran = migrate(&folder, &["-o", "new.safetensors"]);
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`new.safetensors` exists") && ran.stderr.contains("--force"),
        "{}",
        ran.stderr
    );
    assert_eq!(folder.read("new.safetensors"), b"precious");

    assert_eq!(migrate(&folder, &["-o", "new.safetensors", "--force"]).exit, 0);
    assert_eq!(folder.tensors_of("new.safetensors")[0].key, "b.w");
    assert_eq!(folder.names(), ["new.safetensors", "old.safetensors", "r.rules"]);
}

#[test]
fn a_refused_migration_leaves_an_old_output_alone_even_by_force() {
    let folder = folder();
    folder.write("new.safetensors", "precious").write("r.rules", "rename nothing -> b\n");
    assert_eq!(migrate(&folder, &["-o", "new.safetensors", "--force"]).exit, 1);
    // This one is found only while the values are read.
    folder.write("r.rules", "assert old value 7\n");
    assert_eq!(migrate(&folder, &["-o", "new.safetensors", "--force"]).exit, 1);
    assert_eq!(folder.read("new.safetensors"), b"precious");
    assert_eq!(folder.names(), ["new.safetensors", "old.safetensors", "r.rules"]);
}

#[test]
fn the_output_is_never_the_input() {
    let folder = folder();
    let before = folder.read("old.safetensors");
    std::fs::hard_link(folder.path("old.safetensors"), folder.path("hard.safetensors")).unwrap();
    symlink("old.safetensors", folder.path("soft.safetensors")).unwrap();
    for output in ["old.safetensors", "./old.safetensors", "hard.safetensors", "soft.safetensors"] {
        for force in [&["--force"][..], &[]] {
            let mut arguments = vec!["-o", output];
            arguments.extend(force);
            let ran = migrate(&folder, &arguments);
            assert_eq!(ran.exit, 2, "{output}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("the output `{output}` is the input")), "{}", ran.stderr);
            assert!(ran.stderr.contains("--in-place --backup"), "{}", ran.stderr);
            assert_eq!(folder.read("old.safetensors"), before);
        }
    }
}

#[test]
fn in_place_keeps_the_old_bytes_as_the_backup() {
    let folder = folder();
    let (before, inode_before) = (folder.read("old.safetensors"), inode(&folder, "old.safetensors"));
    let ran = migrate(&folder, &["--in-place", "--backup", ".bak"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(folder.read("old.safetensors.bak"), before);
    assert_eq!(inode(&folder, "old.safetensors.bak"), inode_before, "the backup is the old file itself");
    assert_eq!(folder.tensors_of("old.safetensors")[0].key, "b.w");
    assert_eq!(folder.names(), ["old.safetensors", "old.safetensors.bak", "r.rules"]);
}

#[test]
fn in_place_refuses_a_backup_that_exists() {
    let folder = folder();
    folder.write("old.safetensors.bak", "older");
    let before = folder.read("old.safetensors");
    for force in [&[][..], &["--force"]] {
        let mut arguments = vec!["--in-place", "--backup", ".bak"];
        arguments.extend(force);
        let ran = migrate(&folder, &arguments);
        assert_eq!(ran.exit, 2);
        assert!(ran.stderr.contains("the backup `old.safetensors.bak` exists already"), "{}", ran.stderr);
    }
    assert_eq!(
        (folder.read("old.safetensors"), folder.read("old.safetensors.bak")),
        (before, b"older".to_vec())
    );
}

#[test]
fn in_place_that_fails_leaves_the_input_and_no_backup() {
    let folder = folder();
    let before = folder.read("old.safetensors");
    for rules in [
        "rename nothing -> b\n",
        "assert old value 7\n",
        "cast a.w to i8\ncast old to u8 where dtype == f32\nassert a.w value 3\n",
    ] {
        folder.write("r.rules", rules);
        assert_eq!(migrate(&folder, &["--in-place", "--backup", ".bak"]).exit, 1, "{rules}");
        assert_eq!(folder.read("old.safetensors"), before);
        assert_eq!(folder.names(), ["old.safetensors", "r.rules"], "{rules}");
    }
}

#[test]
fn in_place_needs_a_backup_and_no_path_in_its_suffix() {
    let folder = folder();
    assert_eq!(migrate(&folder, &["--in-place"]).exit, 2);
    assert_eq!(migrate(&folder, &["--backup", ".bak"]).exit, 2);
    for suffix in ["", "/../other"] {
        assert_eq!(migrate(&folder, &["--in-place", "--backup", suffix]).exit, 2, "{suffix}");
    }
    assert_eq!(folder.names(), ["old.safetensors", "r.rules"]);
}

#[test]
fn the_mode_follows_the_umask_and_not_the_temporary_file() {
    let folder = folder();
    folder.write("made", "");
    assert_eq!(migrate(&folder, &["-o", "new.safetensors"]).exit, 0);
    let mode = |name: &str| std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("new.safetensors"), mode("made"));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_io_error() {
    let folder = folder();
    std::fs::create_dir(folder.path("locked")).unwrap();
    std::fs::set_permissions(folder.path("locked"), PermissionsExt::from_mode(0o555)).unwrap();
    // Whoever runs the tests as root may write everywhere.
    if std::fs::write(folder.path("locked/probe"), "").is_ok() {
        std::fs::remove_file(folder.path("locked/probe")).unwrap();
        let ran = migrate(&folder, &["-o", "absent/new.safetensors"]);
        assert_eq!(ran.exit, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("absent"), "{}", ran.stderr);
        return;
    }
    let ran = migrate(&folder, &["-o", "locked/new.safetensors"]);
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("locked"), "{}", ran.stderr);
}

#[test]
fn damaged_inputs_end_with_three_and_name_the_file() {
    let whole = safetensors::to_bytes(&tensors::parse(SOURCE));
    let long_header = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let damaged: [(&str, &[u8]); 9] = [
        ("empty.safetensors", b""),
        ("seven.safetensors", b"1234567"),
        ("text.safetensors", b"hello, this is not a checkpoint\n"),
        ("header.safetensors", &whole[..20]),
        ("body.safetensors", &whole[..whole.len() - 1]),
        ("long.safetensors", &long_header),
        ("empty.ckpt", b""),
        ("text.ckpt", b"hello, this is not a checkpoint\n"),
        ("zip.ckpt", b"PK\x03\x04 and nothing more"),
    ];
    let folder = folder();
    for (name, bytes) in damaged {
        folder.write(name, bytes);
        let target_of = ["plan", "--rules", "r.rules", "old.safetensors", "--target", name];
        let runs = [
            folder.run(&["--rules", "r.rules", "--no-target", name, "-o", "new.safetensors"]),
            folder.run(&target_of),
            folder.run(&["inspect", name]),
            folder.run(&["keys", name]),
            folder.run(&["diff", name, "old.safetensors"]),
            folder.run(&["diff", "old.safetensors", name]),
        ];
        for ran in runs {
            assert_eq!(ran.exit, 3, "{name}: {}", ran.stderr);
            assert!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
        }
        assert!(!folder.has("new.safetensors"));
    }
}

#[test]
fn a_folder_or_a_path_that_is_not_there_ends_with_three() {
    let folder = folder();
    std::fs::create_dir(folder.path("folder.safetensors")).unwrap();
    for name in ["folder.safetensors", "absent.safetensors"] {
        let ran = folder.run(&["--rules", "r.rules", "--no-target", name, "-o", "new.safetensors"]);
        assert_eq!(ran.exit, 3, "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains(name), "{name}: {}", ran.stderr);
    }
}

#[test]
fn a_rule_file_that_cannot_be_read_is_wrong_usage() {
    let folder = folder();
    std::fs::create_dir(folder.path("rules")).unwrap();
    folder.write("latin.rules", b"rename \xe4 -> b\n");
    for rules in ["absent.rules", "rules", "latin.rules", "old.safetensors"] {
        let ran = folder.run(&["--rules", rules, "--no-target", "old.safetensors", "-o", "new.safetensors"]);
        assert_eq!(ran.exit, 2, "{rules}: {}", ran.stderr);
        assert!(ran.stderr.contains(rules), "{rules}: {}", ran.stderr);
    }
}

#[test]
fn no_target_must_be_said() {
    let folder = folder();
    let ran = folder.run(&["--rules", "r.rules", "old.safetensors", "-o", "new.safetensors"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("--no-target") && ran.stderr.contains("--target FILE"), "{}", ran.stderr);
    assert!(!folder.has("new.safetensors"));
}

#[test]
fn a_dry_run_and_a_plan_write_nothing() {
    let folder = folder();
    let dry = migrate(&folder, &["--dry-run"]);
    let plan = folder.run(&["plan", "--rules", "r.rules", "--no-target", "old.safetensors"]);
    assert_eq!((dry.exit, plan.exit), (0, 0));
    assert_eq!(dry, plan);
    assert_eq!(migrate(&folder, &["--dry-run", "-o", "new.safetensors"]).exit, 0);
    assert_eq!(migrate(&folder, &["--dry-run", "--in-place", "--backup", ".bak"]).exit, 0);
    assert_eq!(folder.names(), ["old.safetensors", "r.rules"]);
}

#[test]
fn quiet_says_nothing_but_errors() {
    let folder = folder();
    folder.write("r.rules", "rename {x}.w -> b\n");
    let ran = migrate(&folder, &["-q", "-o", "new.safetensors"]);
    assert_eq!((ran.exit, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    folder.write("r.rules", "rename nothing -> b\n");
    let ran = migrate(&folder, &["-q", "-o", "other.safetensors"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("`nothing` matches no key"), "{}", ran.stderr);
}

#[test]
fn json_is_one_value_on_success_and_on_failure() {
    let folder = folder();
    let json = |ran: &Ran| -> Value { serde_json::from_str(&ran.stdout).expect(&ran.stdout) };
    let ran = migrate(&folder, &["--json", "-o", "new.safetensors"]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    assert_eq!(
        (&json(&ran)["dicts"][0]["renamed"], &json(&ran)["dicts"][0]["dropped"]),
        (&1.into(), &1.into())
    );
    let plan = ["plan", "--json", "--rules", "r.rules", "--no-target", "old.safetensors"];
    assert!(json(&folder.run(&plan)).is_object());
    assert_eq!(json(&migrate(&folder, &["--json", "--dry-run"])), json(&folder.run(&plan)));

    let failures: [(&str, &[u8], i32, &str); 4] = [
        ("r.rules", b"rename nothing -> b\n", 1, "unmatched-pattern"),
        ("r.rules", b"renam a -> b\n", 2, "unknown-verb"),
        ("r.rules", b"rename a ->\n", 2, "syntax"),
        ("old.safetensors", b"", 3, "truncated"),
    ];
    for (name, bytes, exit, code) in failures {
        folder.write("r.rules", RULES).write(name, bytes);
        let ran = migrate(&folder, &["--json", "-o", "other.safetensors"]);
        assert_eq!(ran.exit, exit, "{}", ran.stderr);
        let problems = json(&ran);
        if exit != 3 {
            assert_eq!(problems["problems"][0]["code"], code, "{problems}");
        }
        assert_eq!(problems["problems"][0]["severity"], "error", "{problems}");
    }
}

#[test]
fn an_identity_keeps_every_byte_and_a_change_is_recorded() {
    let folder = folder();
    let metadata = serde_json::json!({ "format": "pt", "note": "kept" });
    let bytes = safetensors::with_metadata(&tensors::parse(SOURCE), Some(metadata));
    folder.write("old.safetensors", &bytes).write("r.rules", "# nothing\n");
    assert_eq!(migrate(&folder, &["-o", "same.safetensors"]).exit, 0);
    assert_eq!(folder.read("same.safetensors"), bytes);

    folder.write("r.rules", RULES);
    for (name, no_record) in
        [("one.safetensors", None), ("two.safetensors", None), ("bare.safetensors", Some("--no-record"))]
    {
        let mut arguments = vec!["-o", name];
        arguments.extend(no_record);
        assert_eq!(migrate(&folder, &arguments).exit, 0);
    }
    assert_eq!(folder.read("one.safetensors"), folder.read("two.safetensors"), "equal runs, equal bytes");
    let recorded = safetensors::header(&folder.read("one.safetensors"))["__metadata__"].clone();
    assert_eq!((&recorded["format"], &recorded["note"]), (&"pt".into(), &"kept".into()));
    assert!(recorded.to_string().contains("r.rules"), "{recorded}");
    let bare = safetensors::header(&folder.read("bare.safetensors"))["__metadata__"].clone();
    assert_eq!(bare, serde_json::json!({ "format": "pt", "note": "kept" }));
}

#[test]
fn a_plan_denies_warnings_as_the_main_job_does() {
    let folder = folder();
    folder.write("r.rules", "rename {x}.w -> all.w\n").tensors("old.safetensors", "a.w f32 [1]");
    let plan = ["plan", "--rules", "r.rules", "old.safetensors", "--no-target"];
    assert_eq!(folder.run(&plan).exit, 0);
    let denied = folder.run(&[&plan[..], &["--deny-warnings"]].concat());
    assert_eq!(denied.exit, 1);
    assert!(denied.stderr.contains("error[denied-warnings]: 1 warning denied"), "{}", denied.stderr);
}
