//! `migrate fmt` on files, folders and standard input.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::command::{Folder, Ran};
use crate::docs::page;

const ROUGH: &str = "rename   a.*->b.*  # why\n\n\ndrop c";
const CANONICAL: &str = "rename a.* -> b.*  # why\n\ndrop c\n";

fn text(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).unwrap()
}

/// Runs `migrate fmt` with a text at standard input.
fn piped(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_migrate"))
        .arg("fmt")
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ran(exit: i32, stdout: &str, stderr: &str) -> Ran {
    Ran { exit, stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

#[test]
fn a_file_is_rewritten_where_its_text_changes() {
    let folder = Folder::new();
    folder.write("a.rules", ROUGH).write("b.rules", CANONICAL);
    std::fs::set_permissions(folder.path("a.rules"), PermissionsExt::from_mode(0o640)).unwrap();
    let inode = std::fs::metadata(folder.path("b.rules")).unwrap().ino();
    assert_eq!(folder.run(&["fmt", "a.rules", "b.rules"]), ran(0, "", "formatted a.rules\n"));
    assert_eq!((text(&folder, "a.rules"), text(&folder, "b.rules")), (CANONICAL.into(), CANONICAL.into()));
    let mode = std::fs::metadata(folder.path("a.rules")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert_eq!(std::fs::metadata(folder.path("b.rules")).unwrap().ino(), inode);
    assert_eq!(folder.names(), ["a.rules", "b.rules"]);
    assert_eq!(folder.run(&["fmt", "a.rules"]), ran(0, "", ""));
}

#[test]
fn a_check_shows_what_would_change_and_changes_nothing() {
    let folder = Folder::new();
    folder.write("a.rules", ROUGH).write("b.rules", CANONICAL);
    let result = folder.run(&["fmt", "--check", "a.rules", "b.rules"]);
    let diff = "\
--- a.rules
+++ a.rules
@@ -1,4 +1,3 @@
-rename   a.*->b.*  # why
-
+rename a.* -> b.*  # why
 
-drop c
\\ No newline at end of file
+drop c
";
    assert_eq!(
        result,
        ran(1, diff, "1 rule file not in canonical form: `migrate fmt` without `--check` rewrites\n")
    );
    assert_eq!(text(&folder, "a.rules"), ROUGH);
    assert_eq!(folder.run(&["fmt", "--check", "b.rules"]), ran(0, "", ""));
}

#[test]
fn differences_of_white_space_can_be_seen() {
    let result = piped(&["--check", "-"], "\u{feff}drop a\t\r\n");
    let diff = "\
--- standard input
+++ standard input
@@ -1 +1 @@
-\\u{feff}drop a\\t\\r
+drop a
";
    assert_eq!((result.exit, result.stdout.as_str()), (1, diff));
}

#[test]
fn standard_input_goes_to_standard_output() {
    for arguments in [&["-"][..], &[]] {
        assert_eq!(piped(arguments, ROUGH), ran(0, CANONICAL, ""));
    }
    assert_eq!(piped(&["--check"], CANONICAL), ran(0, "", ""));
    let refused = piped(&[], "drop\n");
    assert_eq!((refused.exit, refused.stdout.as_str()), (2, ""));
    assert!(
        refused.stderr.contains("error[syntax]: `drop` names no key\n --> standard input:1:1"),
        "{refused:?}"
    );
    let beside = piped(&["-", "a.rules"], ROUGH);
    assert!(beside.exit == 2 && beside.stderr.contains("error[usage]"), "{beside:?}");
}

#[test]
fn the_page_shows_rules_as_they_are_formatted() {
    let page = page("docs/language.md");
    let section = page.split("\n### Formatting\n").nth(1).unwrap();
    let shown = section.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(piped(&[], shown), ran(0, shown, ""));
}

#[test]
fn a_folder_stands_for_the_rule_files_below_it() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("r/deep/.hidden")).unwrap();
    let files = ["r/b.rules", "r/deep/a.rules", "r/deep/.hidden/c.rules", "r/notes.txt"];
    files.iter().for_each(|name| {
        folder.write(name, ROUGH);
    });
    symlink("..", folder.path("r/deep/round")).unwrap();
    let result = folder.run(&["fmt", "r", "r/b.rules"]);
    assert_eq!(result, ran(0, "", "formatted r/b.rules\nformatted r/deep/a.rules\n"));
    let texts = files.map(|name| text(&folder, name));
    assert_eq!(texts, [CANONICAL, CANONICAL, ROUGH, ROUGH]);
    std::fs::create_dir(folder.path("empty")).unwrap();
    let empty = folder.run(&["fmt", "empty"]);
    assert!(
        empty.exit == 2 && empty.stderr.contains("error[rule-file]: no *.rules file below `empty`"),
        "{empty:?}"
    );
}

#[test]
fn a_link_stays_a_link() {
    let folder = Folder::new();
    folder.write("a.rules", ROUGH);
    symlink("a.rules", folder.path("link.rules")).unwrap();
    assert_eq!(folder.run(&["fmt", "link.rules"]).exit, 0);
    assert!(std::fs::symlink_metadata(folder.path("link.rules")).unwrap().is_symlink());
    assert_eq!(text(&folder, "a.rules"), CANONICAL);
}

#[test]
fn where_a_file_does_not_parse_none_is_touched() {
    let folder = Folder::new();
    folder.write("a.rules", ROUGH).write("b.rules", "drop\n").write("c.rules", "drop a\nrename b \"c\n");
    for arguments in [&["fmt", "a.rules", "b.rules", "c.rules"][..], &["fmt", "--check", "."]] {
        let result = folder.run(arguments);
        assert_eq!((result.exit, result.stdout.as_str()), (2, ""));
        assert_eq!(result.stderr.matches("error[syntax]").count(), 2, "{}", result.stderr);
        assert!(
            result.stderr.contains("b.rules:1:1") && result.stderr.contains("c.rules:2:10"),
            "{}",
            result.stderr
        );
    }
    assert_eq!(text(&folder, "a.rules"), ROUGH);
    folder.write("d.rules", b"drop \xff");
    let binary = folder.run(&["fmt", "a.rules", "d.rules", "gone.rules"]);
    assert!(
        binary.exit == 2
            && binary.stderr.contains("error[rule-file]: cannot read `d.rules`: it is not UTF-8"),
        "{binary:?}"
    );
    assert_eq!(text(&folder, "a.rules"), ROUGH);
}
