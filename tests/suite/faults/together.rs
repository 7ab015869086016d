//! Several runs that write one output at the same time.

use std::process::{Child, Command, Stdio};

use super::scenes::{Files, Output, files_in, put};
use super::tracer::{program, run};
use crate::command::{Folder, Ran};
use crate::safetensors;
use crate::tensors::Tensor;

const RUNS: usize = 6;

const ROUNDS: usize = 2;

/// As many checkpoints as there are runs, all of the same keys and shapes.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("r.rules", "rename a -> b\ncast c to f16\n");
    for number in 0..RUNS {
        let tensor = |key, rows| Tensor::counting(key, "f32", &[rows, 64], number as u64);
        let bytes = safetensors::to_bytes(&[tensor("a", 3000), tensor("c", 2000), tensor("d", 1000)]);
        folder.write(&format!("{number}.safetensors"), bytes);
    }
    folder
}

/// What each run alone gives.
fn alone(folder: &Folder, output: Output, arguments: &[&str]) -> Vec<Option<Vec<u8>>> {
    let one = |number: usize| {
        let apart = Folder::new();
        put(&files_in(&folder.path("")), &apart);
        let ran = run(&apart, &[&[&*format!("{number}.safetensors")], arguments].concat());
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        output.content(&files_in(&apart.path("")))
    };
    (0..RUNS).map(one).collect()
}

/// All runs at once.
fn together(folder: &Folder, arguments: &[&str]) -> Vec<Ran> {
    let begin = |number: usize| -> Child {
        let mut command = Command::new(program());
        command.arg(format!("{number}.safetensors")).args(arguments).current_dir(folder.path(""));
        command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<Child> = (0..RUNS).map(begin).collect();
    let end = |run: Child| {
        let output = run.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { exit: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    runs.into_iter().map(end).collect()
}

fn sound(files: &Files, output: Output, whole: &[Option<Vec<u8>>]) {
    assert!(whole.contains(&output.content(files)), "the output is none of those of the runs");
    let left: Vec<&String> = files.keys().filter(|name| super::is_temporary(name)).collect();
    assert!(left.is_empty(), "left: {left:?}");
}

const TO: [(Output, &str); 2] =
    [(Output::File("new.safetensors"), "new.safetensors"), (Output::Set("out"), "out/")];

fn arguments(to: &'static str) -> Vec<&'static str> {
    let size: &[&str] = if to.ends_with('/') { &["--max-shard-size", "500KB"] } else { &[] };
    [&["--rules", "r.rules", "--no-target", "-o", to], size].concat()
}

#[test]
fn of_several_runs_one_wins_and_the_others_say_so() {
    for (output, to) in TO {
        for _ in 0..ROUNDS {
            let folder = folder();
            let arguments = arguments(to);
            let whole = alone(&folder, output, &arguments);
            let runs = together(&folder, &arguments);
            let (won, lost): (Vec<Ran>, Vec<Ran>) = runs.into_iter().partition(|ran| ran.exit == 0);
            assert_eq!(won.len(), 1, "{lost:?}");
            for ran in lost {
                assert_eq!(ran.exit, 2, "{}", ran.stderr);
                assert!(
                    ran.stderr.contains("exists already") && ran.stderr.contains(output.name()),
                    "{}",
                    ran.stderr
                );
            }
            sound(&files_in(&folder.path("")), output, &whole);
        }
    }
}

#[test]
fn by_force_the_last_of_several_runs_wins() {
    for (output, to) in TO {
        for _ in 0..ROUNDS {
            let folder = folder();
            let arguments = [&arguments(to)[..], &["--force"]].concat();
            let whole = alone(&folder, output, &arguments);
            // The first time nothing is there, the second time the output of the first.
            for _ in 0..2 {
                let runs = together(&folder, &arguments);
                assert!(runs.iter().all(|ran| ran.exit == 0), "{runs:?}");
                sound(&files_in(&folder.path("")), output, &whole);
            }
        }
    }
}

#[test]
fn in_place_one_run_wins_and_the_old_file_is_kept() {
    for _ in 0..ROUNDS {
        let folder = folder();
        let before = folder.read("0.safetensors");
        let begin = || {
            let mut command = Command::new(program());
            command.args([
                "0.safetensors",
                "--rules",
                "r.rules",
                "--no-target",
                "--in-place",
                "--backup",
                ".bak",
            ]);
            command.current_dir(folder.path("")).stderr(Stdio::null()).spawn().unwrap()
        };
        let runs: Vec<Child> = (0..RUNS).map(|_| begin()).collect();
        let won = runs.into_iter().filter_map(|mut run| run.wait().unwrap().success().then_some(())).count();
        assert_eq!(won, 1);
        assert_eq!(folder.read("0.safetensors.bak"), before);
        assert_eq!(folder.tensors_of("0.safetensors")[0].key, "b");
        assert!(!folder.names().iter().any(|name| super::is_temporary(name)));
    }
}
