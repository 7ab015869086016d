//! Every operation on a file may fail, and every one may be the last: what is there afterwards is the old state or
//! the new one, whole, and the next run leaves nothing else lying about.
//!
//! A few operations of each scene are tried; `MIGRATE_FAULTS=all` tries every one.

mod scenes;
mod together;
mod tracer;

use crate::command::{Folder, Ran};
use scenes::{Files, Output, Scene, files_in, put};
use tracer::{Disturbance, EINTR, EIO, ENOSPC, Fault, Operation, disturbed, run, tracer};

/// How many operations of a scene are tried for each fault, where not all are.
const FEW: usize = 4;

/// The last operation that a lasting fault strikes.
const LAST: usize = 1 << 30;

/// What the outputs are like, without any and with all of what the run does.
struct Expected {
    before: Files,
    after: Files,
}

/// Runs a scene as often as it has operations for each fault to strike.
fn sweep(scene: &Scene) {
    if tracer().is_none() {
        eprintln!("skipped: faults need Linux on x86-64, a C compiler, and leave to trace");
        return;
    }
    let before = (scene.files)();
    let folder = Folder::new();
    put(&before, &folder);
    let arguments = arguments(scene, &before);
    let ran = run(&folder, &arguments);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let expected = Expected { before, after: files_in(&folder.path("")) };
    let all = std::env::var_os("MIGRATE_FAULTS").is_some_and(|which| which == "all");
    let mut count = 0;
    for poor in [false, true] {
        let none = Disturbance { fault: Fault::None, from: 0, to: 0, poor };
        let operations = attempt(scene, &expected, none);
        for (fault, lasting) in [
            (Fault::Kill, false),
            (EIO, false),
            (EIO, true),
            (ENOSPC, false),
            (ENOSPC, true),
            (EINTR, false),
            (EINTR, true),
            (Fault::Short, false),
            (Fault::Short, true),
        ] {
            // What only a poor file system has to do is mostly to go other ways.
            if poor && !all && (lasting || ![Fault::Kill, EIO].contains(&fault)) {
                continue;
            }
            // What interrupts or shortens everything for ever is not a fault that has an end.
            let to = |from| match (lasting, fault) {
                (false, _) => from,
                (true, EINTR) => from + 3,
                (true, _) => LAST,
            };
            let open = operations.iter().enumerate().filter(|(_, operation)| operation.is_open_to(fault));
            let open: Vec<usize> = open.map(|(index, _)| index + 1).collect();
            let stride = if all { 1 } else { open.len().div_ceil(FEW).max(1) };
            // From the end on, where names change.
            for &from in open.iter().rev().step_by(stride) {
                attempt(scene, &expected, Disturbance { fault, from, to: to(from), poor });
                count += 1;
            }
        }
    }
    println!("{count} runs were disturbed, of {}", arguments.join(" "));
}

/// The arguments of a scene, with leave to replace what is there.
fn arguments(scene: &Scene, before: &Files) -> Vec<&'static str> {
    let mut arguments = scene.arguments.to_vec();
    let is_there =
        |output: &Output| !matches!(output, Output::InPlace(..)) && output.content(before).is_some();
    if scene.outputs.iter().any(is_there) {
        arguments.push("--force");
    }
    arguments
}

/// Runs a scene once, disturbed, and then once more, undisturbed.
fn attempt(scene: &Scene, expected: &Expected, how: Disturbance) -> Vec<Operation> {
    let folder = Folder::new();
    put(&expected.before, &folder);
    let (ran, operations) = disturbed(&folder, &arguments(scene, &expected.before), how);
    let struck = operations.iter().rev().find(|operation| operation.struck);
    let files = files_in(&folder.path(""));
    let case = format!("{how:?}\nstruck: {struck:?}\n{ran:?}\nleft: {:?}", files.keys());

    for input in scene.inputs {
        assert!(files.get(*input) == expected.before.get(*input), "{input} is not what it was: {case}");
    }
    let is_new: Vec<bool> =
        scene.outputs.iter().map(|&output| is_new(output, &files, expected, &case)).collect();
    if how.fault == Fault::Kill {
        assert_eq!(ran.exit, 137, "{case}");
    } else {
        told(scene, &ran, struck, &case);
        assert!(ran.exit != 0 || is_new.iter().all(|&new| new), "it says that all went well: {case}");
        // What fails for ever cannot be undone, and neither can what fails while it is undone.
        let undoes = |struck: &Operation| {
            struck.name == "unlink" || is_temporary(&struck.path) && !struck.traits.contains('S')
        };
        let cleans = how.to < LAST && !struck.is_some_and(undoes);
        assert!(!cleans || !files.keys().any(|name| is_temporary(name)), "something is left: {case}");
    }
    again(scene, expected, &folder, is_new.iter().all(|&new| new), &case);
    operations
}

/// Whether an output is the new one; it is the old one otherwise, and nothing else.
fn is_new(output: Output, files: &Files, expected: &Expected, case: &str) -> bool {
    let name = output.name();
    let found = output.content(files);
    let (old, new) = (output.content(&expected.before), output.content(&expected.after));
    assert!(found == old || found == new, "{name} is neither old nor new: {case}");
    if let Output::InPlace(name, backup) = output {
        let (kept, old) = (files.get(backup), expected.before.get(name));
        assert!(kept.is_none() || kept == old, "{backup} is not what {name} was: {case}");
        assert!(kept.is_some() || found.as_ref() == old, "the old {name} is nowhere: {case}");
    }
    found == new
}

/// Whether what a run said fits what befell it.
fn told(scene: &Scene, ran: &Ran, struck: Option<&Operation>, case: &str) {
    assert!(!ran.stderr.contains("panicked"), "{case}");
    assert!(!ran.stderr.contains("migrate-tmp"), "a name that the user does not know: {case}");
    let of_rules =
        |operation: &Operation| [".rules", ".yaml"].iter().any(|end| operation.path.ends_with(end));
    match ran.exit {
        0 => return,
        2 => assert!(struck.is_some_and(|operation| of_rules(operation) || operation.path == "m"), "{case}"),
        exit => assert_eq!(exit, 3, "{case}"),
    }
    let struck = struck.expect(case);
    let file = struck.path.trim_start_matches("./");
    let known = [file].into_iter().chain(scene.outputs.iter().map(|output| output.name()));
    let mut known = known.chain(scene.inputs.iter().copied());
    assert!(known.any(|name| ran.stderr.contains(name)), "no file is named: {case}");
}

/// The next run gets where this one was to get, and leaves nothing else.
fn again(scene: &Scene, expected: &Expected, folder: &Folder, is_new: bool, case: &str) {
    let in_place = matches!(scene.outputs, [Output::InPlace(..)]);
    if !(in_place && is_new) {
        let force = (!in_place).then_some("--force");
        let arguments: Vec<&str> = scene.arguments.iter().copied().chain(force).collect();
        let mut next = run(folder, &arguments);
        if in_place && next.exit == 2 {
            // It names what is in its way, which is a whole copy.
            assert!(next.stderr.contains("old.safetensors.bak` exists"), "{next:?}: {case}");
            std::fs::remove_file(folder.path("old.safetensors.bak")).unwrap();
            next = run(folder, &arguments);
        }
        assert_eq!(next.exit, 0, "the next run: {next:?}: {case}");
    }
    let files = files_in(&folder.path(""));
    assert!(files == expected.after, "the next run leaves {:?}: {case}", files.keys());
}

fn is_temporary(name: &str) -> bool {
    name.contains("migrate-tmp")
}

#[test]
fn a_renamed_checkpoint() {
    sweep(&scenes::RENAMED);
}

#[test]
fn a_renamed_torch_file() {
    sweep(&scenes::TORCH);
}

#[test]
fn a_computed_checkpoint() {
    sweep(&scenes::COMPUTED);
}

#[test]
fn a_checkpoint_over_an_old_one() {
    sweep(&scenes::OVER);
}

#[test]
fn a_new_set_of_shards() {
    sweep(&scenes::NEW_SET);
}

#[test]
fn a_set_of_shards_over_one_of_the_same_names() {
    sweep(&scenes::SET_OVER);
}

#[test]
fn a_set_of_shards_over_one_of_other_names() {
    sweep(&scenes::SET_OVER_OTHERS);
}

#[test]
fn a_checkpoint_replaced_in_place() {
    sweep(&scenes::IN_PLACE);
}

#[test]
fn a_chain_of_rule_files() {
    sweep(&scenes::CHAIN);
}

#[test]
fn many_checkpoints() {
    sweep(&scenes::MANY);
}

#[test]
fn several_outputs() {
    sweep(&scenes::PARTS);
}
