#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::index::Index;
use super::names::{self, MOST_SHARDS, ShardNames};
use super::part_problem::{Flaw, PartProblem};
use super::placing::{INDEX, INTERIM_INDEX, StagedShards, Step};
use super::problem::ShardProblem;
use super::receipt::{Agreed, Receipt, Receipts, RunDigest};
use super::{Finished, finish};
use crate::formats::{Format, FormatError, Limit, Limits, Placement, Replace};

const FORCE: Placement = Placement { replace: Replace::Force, sync: true };

/// Files of a folder by name.
type Files = BTreeMap<String, String>;

fn files(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
    };
    files.map(read).collect()
}

/// Stages `count` shards whose text is `content`; an index is the list of its shards.
fn stage(folder: &Path, count: usize, content: &str) -> StagedShards {
    let names = ShardNames::of_index(&folder.join("model.safetensors.index.json")).unwrap();
    let staged = StagedShards::new(&names, (1..=count).map(|number| names.shard(number, count))).unwrap();
    for shard in staged.shards() {
        std::fs::write(staged.staged(shard), content).unwrap();
    }
    let interim: Vec<String> = staged.shards().iter().map(|shard| staged.interim(shard)).collect();
    std::fs::write(staged.staged(INDEX), staged.shards().join("\n")).unwrap();
    std::fs::write(staged.staged(INTERIM_INDEX), interim.join("\n")).unwrap();
    staged
}

/// What the index leads to: the contents of its shards, all of which must be there.
fn loaded(folder: &Path) -> Option<(usize, BTreeSet<String>)> {
    let files = files(folder);
    let index = files.get("model.safetensors.index.json")?;
    let shards: Vec<String> = index.lines().map(|shard| files[shard].clone()).collect();
    Some((shards.len(), shards.into_iter().collect()))
}

fn set(count: usize, content: &str) -> Option<(usize, BTreeSet<String>)> {
    Some((count, BTreeSet::from([content.to_owned()])))
}

fn names_after(count: usize) -> Vec<String> {
    let mut names: Vec<String> =
        (1..=count).map(|number| format!("model-{number:05}-of-{count:05}.safetensors")).collect();
    names.push("model.safetensors.index.json".to_owned());
    names.push("other.json".to_owned());
    names.sort();
    names
}

/// The steps of a new set over an old one, of which as many shards are there as are given.
fn steps_over(folder: &Path, old: usize, new: usize) -> (StagedShards, Vec<Step>) {
    std::fs::write(folder.join("other.json"), "kept").unwrap();
    stage(folder, old, "old").commit(&FORCE).unwrap();
    let staged = stage(folder, new, "new");
    let names = ShardNames::of_index(&folder.join("model.safetensors.index.json")).unwrap();
    let steps = staged.steps(&names.occupants().unwrap(), true);
    (staged, steps)
}

#[test]
fn whoever_stops_in_between_leaves_the_old_set_or_the_new_one() {
    for (old, new) in [(3, 3), (3, 2), (2, 3), (1, 1)] {
        let count = steps_over(tempfile::tempdir().unwrap().path(), old, new).1.len();
        for stop in 0..=count {
            let folder = tempfile::tempdir().unwrap();
            let (staged, steps) = steps_over(folder.path(), old, new);
            let mut is_new = false;
            for step in &steps[..stop] {
                step.run(true).unwrap();
                let found = loaded(folder.path());
                is_new |= found == set(new, "new");
                assert_eq!(found, if is_new { set(new, "new") } else { set(old, "old") }, "{step:?}");
            }
            // The next run takes over from there and leaves nothing stale.
            std::mem::forget(staged);
            stage(folder.path(), 3, "third").commit(&FORCE).unwrap();
            assert_eq!(loaded(folder.path()), set(3, "third"));
            assert_eq!(files(folder.path()).into_keys().collect::<Vec<_>>(), names_after(3));
        }
    }
}

#[test]
fn nothing_stale_is_left() {
    for (old, new) in [(3, 3), (3, 2), (2, 3)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), "in one file").unwrap();
        let (staged, _) = steps_over(folder.path(), old, new);
        staged.commit(&FORCE).unwrap();
        assert_eq!(loaded(folder.path()), set(new, "new"));
        let all = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files(folder.path()).into_keys().collect::<Vec<_>>(), names_after(new));
        assert_eq!(all, names_after(new).len(), "a folder was left");
    }
}

#[test]
fn a_step_that_fails_leaves_the_old_set() {
    let folder = tempfile::tempdir().unwrap();
    let (staged, _) = steps_over(folder.path(), 3, 3);
    let before = files(folder.path());
    std::fs::remove_file(staged.staged("model-00002-of-00003.safetensors")).unwrap();
    let error = staged.commit(&FORCE).unwrap_err();
    assert_eq!(error.code(), "io");
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_new_folder_appears_whole_or_not_at_all() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("out");
    let never = Placement { replace: Replace::Never, sync: true };
    drop(stage(&folder, 2, "dropped"));
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    let (first, second) = (stage(&folder, 2, "first"), stage(&folder, 2, "second"));
    assert!(!folder.exists());
    first.commit(&never).unwrap();
    assert!(matches!(second.commit(&never).unwrap_err(), FormatError::Exists { .. }));
    assert_eq!(loaded(&folder), set(2, "first"));
    assert_eq!(files(&folder).len(), 3);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
}

#[test]
fn what_is_there_is_kept_unless_it_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let never = Placement { replace: Replace::Never, sync: false };
    let staged = stage(folder.path(), 2, "new");
    std::fs::write(folder.path().join("model-00001-of-00009.safetensors"), "old").unwrap();
    assert!(matches!(staged.commit(&never).unwrap_err(), FormatError::Exists { .. }));
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn names_are_those_of_hugging_face() {
    let model = ShardNames::of_index(Path::new("out/model.safetensors.index.json")).unwrap();
    assert_eq!(model, ShardNames::of_file(Path::new("out/model.safetensors")).unwrap());
    assert_eq!(model, ShardNames::in_folder(Path::new("out"), Format::Safetensors, None));
    assert_eq!(model.shard(1, 3), "model-00001-of-00003.safetensors");
    assert_eq!(
        model.interim("model-00001-of-00003.safetensors", 4),
        "model.migrate4-00001-of-00003.safetensors"
    );
    let torch =
        ShardNames::in_folder(Path::new("out"), Format::TorchZip, Some("model.safetensors.index.json"));
    assert_eq!(torch.index(), Path::new("out/pytorch_model.bin.index.json"));
    assert_eq!(torch.shard(2, 12), "pytorch_model-00002-of-00012.bin");
    let own = ShardNames::in_folder(Path::new("."), Format::TorchZip, Some("unet.bin.index.json"));
    assert_eq!(own.index(), Path::new("unet.bin.index.json"));
    for name in ["out/index.json", "model.index.json", "model.safetensors.json", "model.txt.index.json", ".."]
    {
        let error = ShardNames::of_index(Path::new(name)).unwrap_err();
        assert_eq!(error.code(), "unknown-extension", "{name}");
    }
    assert!(names::is_index("model.safetensors.index.fp16.json") && !names::is_index("config.json"));
}

#[test]
fn only_files_of_the_set_are_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let own = [
        "model-00001-of-00003.safetensors",
        "model.migrate12-00001-of-00003.safetensors",
        "model.safetensors",
        "model.safetensors.index.json",
    ];
    let foreign = [
        "config.json",
        "model-00001-of-00003.bin",
        "model-1-of-3.safetensors",
        "model-extra-00001-of-00003.safetensors",
        "model.migrate-00001-of-00003.safetensors",
        "model.fp16-00001-of-00003.safetensors",
        "xmodel-00001-of-00003.safetensors",
        "model-00001-of-0000é.safetensors",
    ];
    for name in own.iter().chain(&foreign) {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let names = ShardNames::in_folder(folder.path(), Format::Safetensors, None);
    assert_eq!(names.occupants().unwrap(), own);
}

/// A folder that waits to be finished, with what its parts agree on.
fn waiting(folder: &Path, shards: usize) -> (ShardNames, Agreed) {
    let names = ShardNames::of_index(&folder.join("model.safetensors.index.json")).unwrap();
    let run = RunDigest { rules: String::new(), source: String::new(), plan: "p".to_owned() };
    let agreed = Agreed { tool: String::new(), run, parts: 2, shards, metadata: serde_json::Map::default() };
    std::fs::create_dir(names.parts()).unwrap();
    std::fs::write(names.parts().join("plan.json"), serde_json::json!(agreed).to_string()).unwrap();
    (names, agreed)
}

#[test]
fn parts_that_speak_of_more_shards_than_there_can_be_are_damaged() {
    for (shards, possible) in [(MOST_SHARDS, true), (MOST_SHARDS + 1, false), (usize::MAX, false)] {
        let folder = tempfile::tempdir().unwrap();
        let (names, agreed) = waiting(folder.path(), shards);
        let limits = Limits::default();
        let read = Receipts::of(&names, &limits).agreed();
        match possible {
            true => assert_eq!(read.unwrap(), agreed),
            false => assert!(matches!(
                finish(&names.index(), false, &limits),
                Err(FormatError::Parts { problem: PartProblem::Damaged { .. }, .. })
            )),
        }
    }
}

#[test]
fn a_receipt_has_the_budget_of_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let (names, _) = waiting(folder.path(), 1);
    let shard = names.shard(1, 1);
    let receipt = Receipt { plan: "p".to_owned(), bytes: 0, keys: vec!["k".repeat(100)] };
    let mut limits = Limits::default();
    Receipts::of(&names, &limits).give(&shard, &receipt, &FORCE).unwrap();
    let length = names.parts().join(format!("{shard}.json")).metadata().unwrap().len();
    limits.set(Limit::HeaderBytes, length);
    assert_eq!(Receipts::of(&names, &limits).get(&shard).unwrap().unwrap().keys, receipt.keys);
    limits.set(Limit::HeaderBytes, length - 1);
    let refused = Receipts::of(&names, &limits).get(&shard);
    assert!(matches!(refused, Err(FormatError::TooLarge { raise: Some(Limit::HeaderBytes), .. })));
}

#[test]
fn whoever_comes_first_says_what_the_other_parts_must_agree_with() {
    let folder = tempfile::tempdir().unwrap();
    let (names, first) = waiting(folder.path(), 3);
    let limits = Limits::default();
    let receipts = Receipts::of(&names, &limits);
    std::fs::remove_file(names.parts().join("plan.json")).unwrap();
    receipts.claim(&first, &FORCE).unwrap();
    let mut others = vec![first.clone(); 5];
    others[0].run.rules = "others".to_owned();
    others[1].run.source = "another".to_owned();
    others[2].parts = 3;
    others[3].tool = "another".to_owned();
    others[4].shards = 4;
    for other in others {
        let Err(FormatError::Parts { problem, .. }) = receipts.claim(&other, &FORCE) else {
            panic!("claimed by {other:?}")
        };
        let of_count = matches!(problem, PartProblem::OtherCount { there: 2, own: 3 });
        assert_eq!(of_count, other.parts == 3, "{problem:?}");
    }
    assert_eq!(receipts.agreed().unwrap(), first);
    assert!(!receipts.has(&names.shard(1, 3)));
    let receipt = Receipt { plan: "p".to_owned(), bytes: 0, keys: Vec::new() };
    receipts.give(&names.shard(1, 3), &receipt, &FORCE).unwrap();
    assert!(receipts.has(&names.shard(1, 3)) && !receipts.has(&names.shard(2, 3)));
}

#[test]
fn parts_are_finished_once_each_shard_is_there_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (names, _) = waiting(folder.path(), 2);
    let limits = Limits::default();
    let receipts = Receipts::of(&names, &limits);
    let done = |path: &Path| finish(path, false, &limits);
    let problem = |path: &Path| match done(path) {
        Err(FormatError::Parts { problem, .. }) => Some(problem),
        _ => None,
    };
    let shard = |number: usize, key: &str| {
        let header = format!(r#"{{"{key}":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}}}"#);
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), b"x"].concat();
        let receipt = Receipt { plan: "p".to_owned(), bytes: bytes.len() as u64, keys: vec![key.to_owned()] };
        std::fs::write(names.path(&names.shard(number, 2)), bytes).unwrap();
        receipts.give(&names.shard(number, 2), &receipt, &FORCE).unwrap();
    };
    assert!(matches!(problem(&folder.path().join("model.safetensors")), Some(PartProblem::NoParts)));
    shard(1, "a");
    let Some(PartProblem::Incomplete { all }) = problem(folder.path()) else { panic!("one is missing") };
    assert_eq!((all.len(), &*all[0].shard, &all[0].flaw), (1, &*names.shard(2, 2), &Flaw::Missing));
    shard(2, "b");
    let foreign = names.path(&names.shard(1, 9));
    std::fs::write(&foreign, "").unwrap();
    assert!(matches!(problem(folder.path()), Some(PartProblem::Occupied { .. })));
    std::fs::remove_file(&foreign).unwrap();
    assert!(matches!(done(folder.path()), Ok(Finished::Now { tensors: 2, .. })));
    assert!(!names.parts().exists());
    // Done before: by itself, and where a run was stopped before the last receipt went.
    assert!(matches!(done(folder.path()), Ok(Finished::Before { shards: 2 })));
    waiting(folder.path(), 2);
    assert!(matches!(done(&names.index()), Ok(Finished::Before { shards: 2 })));
    assert!(!names.parts().exists());
    // The set is one dict.
    assert!(super::open(&names.index(), &["."], &limits).is_ok());
    let refused = super::open(&names.index(), &["model"], &limits);
    assert_eq!(refused.err().map(|error| error.code()), Some("no-tensors"));
}

#[test]
fn a_shard_is_a_file_beside_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors.index.json");
    for name in ["", ".", "..", "../a", "/a", "a/b", "a\\b", "a\0b"] {
        std::fs::write(&path, serde_json::json!({ "weight_map": { "w": name } }).to_string()).unwrap();
        let refused = Index::read(&path, &Limits::default()).map(|_| ());
        let is_so = matches!(
            &refused,
            Err(FormatError::Shards { problem: ShardProblem::NotABaseName { key, file }, .. })
                if key == "w" && file == name
        );
        assert!(is_so, "{name:?}: {refused:?}");
    }
    let text = serde_json::json!({ "weight_map": { "w": "..a.safetensors" } }).to_string();
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Index::read(&path, &Limits::default()).unwrap().weight_map["w"], "..a.safetensors");
    let mut limits = Limits::default();
    for (most, code) in [(text.len() as u64, None), (text.len() as u64 - 1, Some("too-large"))] {
        limits.set(Limit::HeaderBytes, most);
        assert_eq!(Index::read(&path, &limits).err().map(|error| error.code()), code);
    }
    std::fs::write(&path, "").unwrap();
    assert_eq!(Index::read(&path, &Limits::default()).unwrap_err().code(), "empty-file");
    std::fs::write(&path, r#"{"weight_map":{}}"#).unwrap();
    let refused = Index::read(&path, &Limits::default()).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("its `weight_map` is empty"), "{refused}");
}

#[test]
fn a_shard_is_damaged_unless_a_limit_keeps_it_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let (names, agreed) = waiting(folder.path(), 1);
    let path = names.path(&names.shard(1, 1));
    let header = r#"{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let shard = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), b"x"].concat();
    let receipt = |keys: &[&str]| Receipt {
        plan: "p".to_owned(),
        bytes: shard.len() as u64,
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
    };
    let (usual, mut tight) = (Limits::default(), Limits::default());
    tight.set(Limit::HeaderBytes, header.len() as u64 - 1);
    let flaw = |keys: &[&str], limits| {
        Receipts::of(&names, limits).flaw(&receipt(keys), &agreed, &path).map_err(|error| error.code())
    };
    assert_eq!(flaw(&["w"], &usual), Ok(Some(Flaw::Missing)));
    std::fs::write(&path, &shard).unwrap();
    assert_eq!(flaw(&["w"], &usual), Ok(None));
    assert_eq!(flaw(&["v"], &usual), Ok(Some(Flaw::Keys)));
    assert_eq!(flaw(&["w", "v"], &usual), Ok(Some(Flaw::Keys)));
    assert_eq!(flaw(&["w"], &tight), Err("too-large"));
    let mut damaged = shard.clone();
    damaged[7] = 0x7f;
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(flaw(&["w"], &usual), Ok(Some(Flaw::Unreadable)));
    std::fs::write(&path, &shard[1..]).unwrap();
    let (found, wanted) = (shard.len() as u64 - 1, shard.len() as u64);
    assert_eq!(flaw(&["w"], &usual), Ok(Some(Flaw::Length { found, wanted })));
    let other = Receipt { plan: "another".to_owned(), ..receipt(&["w"]) };
    assert_eq!(Receipts::of(&names, &usual).flaw(&other, &agreed, &path).unwrap(), Some(Flaw::OtherRun));
}
