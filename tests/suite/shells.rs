//! What shells and `man` are given.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::command::Folder;

#[test]
fn completions_know_the_commands_and_bash_reads_them() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = folder.run(&["completions", shell]);
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        for word in ["explain", "out-dir"] {
            assert!(ran.stdout.contains(word), "{shell} lacks {word}");
        }
    }
    let text = folder.run(&["completions", "bash"]).stdout;
    let asked =
        "\nCOMP_WORDS=(migrate pl); COMP_CWORD=1; _migrate migrate pl migrate; echo \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all((text + asked).as_bytes()).unwrap();
    let answer = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(answer.stdout).unwrap().trim(), "plan");
    assert_eq!(folder.run(&["completions", "csh"]).exit, 2);
}

#[test]
fn there_is_a_manual_page_for_the_program_and_for_each_command() {
    let folder = Folder::new();
    let page = folder.run(&["man"]).stdout;
    assert!(page.contains(".TH migrate 1") && page.contains("Exit codes"), "{page}");
    let page = folder.run(&["man", "plan"]).stdout;
    assert!(page.contains(".TH migrate-plan 1") && page.contains("\\fBmigrate plan\\fR"), "{page}");
    let ran = folder.run(&["man", "plam"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("did you mean `plan`?"), "{}", ran.stderr);
}
