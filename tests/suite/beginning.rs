//! `migrate init` and `migrate new`: how a folder of versions begins and goes on.

use std::os::unix::fs::PermissionsExt;

use crate::chains::{good, keys, run, shown};
use crate::command::{Folder, names};

const V1: [&str; 4] = ["enc.0.q: f32 [2, 2]", "enc.0.k: f32 [2, 2]", "head.w: f32 [3, 2]", "steps: i64 []"];
const V2: [&str; 4] = ["body.0.q: f32 [2, 2]", "body.0.k: f32 [2, 2]", "cls.w: f32 [5, 2]", "steps: i32 []"];

/// A repository with the keys of a model in two versions.
fn repository() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path(".git")).unwrap();
    folder.write("old.keys.yaml", keys(&V1)).write("new.keys.yaml", keys(&V2));
    folder
}

fn text(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).unwrap()
}

/// The statements that a text has as comments, uncommented.
fn uncommented(text: &str, verbs: &[&str]) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let statements = lines.filter(|line| verbs.iter().any(|verb| line.starts_with(&format!("{verb} "))));
    statements.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_folder_begins_and_is_content() {
    let folder = repository();
    let told = good(&folder, "init old.keys.yaml");
    let mut files = format!("{told}\n");
    for file in [
        "migrations/v1.keys.yaml",
        "migrations/pre-commit",
        ".github/workflows/migrations.yml",
        "migrations/tests/v1/plan.txt",
    ] {
        files += &format!("== {file}\n{}\n", text(&folder, file));
    }
    insta::assert_snapshot!(files);
    let mode = |file: &str| folder.path(file).metadata().unwrap().permissions().mode() & 0o100;
    assert_eq!((mode("migrations/pre-commit"), mode("migrations/v1.keys.yaml")), (0o100, 0));
    good(&folder, "check migrations");
    good(&folder, "test");
    good(&folder, "fmt --check migrations");
    let statements =
        uncommented(&text(&folder, "migrations/example.rules"), &["rename", "drop", "merge", "leave"]);
    assert_eq!(statements.lines().count(), 4);
    folder.write("example.rules", statements);
    let told = run(&folder, "fmt --check example.rules");
    assert!(!told.stderr.contains("error"), "the example does not parse: {}", told.stderr);
}

#[test]
fn nothing_that_is_there_is_replaced() {
    let folder = repository();
    std::fs::create_dir_all(folder.path("migrations")).unwrap();
    folder.write("migrations/v7.keys.yaml", keys(&V1)).write("migrations/pre-commit", "mine\n");
    insta::assert_snapshot!(shown(&run(&folder, "init old.keys.yaml")));
    assert_eq!(names(&folder.path("migrations")), ["pre-commit", "v7.keys.yaml"]);
    assert!(!folder.has(".github"));
    assert_eq!(text(&folder, "migrations/pre-commit"), "mine\n");

    // A second folder of the repository has a workflow of its own.
    good(&folder, "init old.keys.yaml --dir models/unet/m");
    assert_eq!(names(&folder.path(".github/workflows")), ["models-unet-m.yml"]);
    assert!(text(&folder, ".github/workflows/models-unet-m.yml").contains("migrate check models/unet/m\n"));
    good(&folder, "check models/unet/m");
    good(&folder, "test models/unet/m");
    for dir in [".", "a\nb"] {
        let ran = folder.run(&["init", "old.keys.yaml", "--dir", dir]);
        assert_eq!(ran.exit, 2, "{dir}: {}", ran.stderr);
    }
    // Names that a shell would read otherwise.
    assert_eq!(folder.run(&["init", "old.keys.yaml", "--dir", "it's $HOME"]).exit, 0);
    let hook = std::process::Command::new("sh").arg("-n").arg(folder.path("it's $HOME/pre-commit")).status();
    assert!(hook.unwrap().success());
    assert!(text(&folder, ".github/workflows/it's $HOME.yml").contains(r"migrate check './it'\''s $HOME'"));
}

#[test]
fn a_version_is_a_key_set_and_a_file_of_comments() {
    let folder = repository();
    good(&folder, "init old.keys.yaml");
    let told = good(&folder, "new v2 --from new.keys.yaml");
    let rules = text(&folder, "migrations/v1_to_v2.rules");
    insta::assert_snapshot!(format!("{told}\n{rules}"));
    good(&folder, "fmt --check migrations");

    let ran = run(&folder, "check migrations");
    assert_eq!(ran.exit, 1);
    assert!(
        ran.stderr.contains("missing-key") && ran.stderr.contains("in the step from `v1` to `v2`"),
        "{}",
        ran.stderr
    );

    // What is uncommented counts, and no more than that.
    let suggested = uncommented(&rules, &["rename"]);
    assert_eq!(suggested.lines().count(), 1, "{suggested}");
    folder.write("migrations/v1_to_v2.rules", format!("{rules}{suggested}"));
    let ran = run(&folder, "check migrations");
    assert!(
        ran.exit == 1 && !ran.stderr.contains("body.0.q") && ran.stderr.contains("cls.w"),
        "{}",
        ran.stderr
    );
    let own = "drop head.w\nleave cls.w\ncast steps to i32\n";
    folder.write("migrations/v1_to_v2.rules", format!("{rules}{suggested}{own}"));
    good(&folder, "check migrations");

    let ran = run(&folder, "test");
    assert!(ran.exit == 1 && ran.stdout.contains("rename enc.** -> body.**"), "{}", ran.stdout);
    good(&folder, "test --update");
    good(&folder, "test");
}

#[test]
fn what_cannot_be_the_next_version_is_refused() {
    let folder = repository();
    let mut told = shown(&run(&folder, "new v2 --from new.keys.yaml"));
    good(&folder, "init old.keys.yaml");
    good(&folder, "new v2 --from new.keys.yaml");
    for words in ["v2", "v1", "v0", "a/b", "v1_to_v3", "-"] {
        told +=
            &format!("== {words}\n{}", shown(&run(&folder, &format!("new {words} --from old.keys.yaml"))));
    }
    told += &format!("== same\n{}", shown(&run(&folder, "new v3 --from new.keys.yaml")));
    insta::assert_snapshot!(told);
    let rules = text(&folder, "migrations/v2_to_v3.rules");
    assert!(rules.starts_with("migration v2 -> v3\n\n# v3 has the keys of v2"), "{rules}");
}

#[test]
fn keys_with_odd_names_are_suggested_as_patterns_of_themselves() {
    let folder = repository();
    folder
        .write("old.keys.yaml", keys(&["\"a b.x*.w\": f32 [2]", "\"q\\\"{}.w\": f32 [3]", "a..c: f32 [4]"]))
        .write("new.keys.yaml", keys(&["c.x.w: f32 [2]", "p.w: f32 [3]", "b..c: f32 [4]"]));
    good(&folder, "init old.keys.yaml");
    good(&folder, "new v2 --from new.keys.yaml");
    let rules = text(&folder, "migrations/v1_to_v2.rules");
    folder.write("migrations/v1_to_v2.rules", uncommented(&rules, &["rename"]));
    let ran = run(&folder, "check migrations");
    assert_eq!(ran.exit, 0, "{rules}{}", ran.stderr);
}
