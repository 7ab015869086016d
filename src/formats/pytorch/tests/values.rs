//! Edits of values that are no tensors, and why they are refused.

use super::files::{FOUR, dict, folder, int, pickle, read, tensor, text, torch_file};
use crate::edit::{Change, Edit, Plain};

fn set(path: &str, value: i64) -> Edit {
    edit(path, Change::Set(Plain::Int(value)))
}

fn unset(path: &str) -> Edit {
    edit(path, Change::Unset)
}

fn moved(path: &str, to: &str) -> Edit {
    edit(path, Change::Move(keys(to)))
}

fn edit(path: &str, change: Change) -> Edit {
    Edit { path: keys(path), change, optional: false }
}

fn keys(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

/// What the values were of a file with settings, a list, a tuple and a text beside its tensors.
fn check(edits: &[Edit]) -> Result<Vec<String>, String> {
    let (_folder, path) = folder();
    let list = [b"](".to_vec(), int(1), int(2), b"e".to_vec()].concat();
    let pair = [int(1), int(2), b"\x86".to_vec()].concat();
    let root = dict(&[
        ("state_dict", dict(&[("w", tensor("0", 4, 0, &[4], &[1]))])),
        ("config", dict(&[("lr", int(3)), ("list", list), ("pair", pair)])),
        ("name", text("net")),
    ]);
    torch_file(&path, &pickle(root), &[FOUR]);
    let was = read(&path).unwrap().check_edits(edits).map_err(|error| error.to_string())?;
    Ok(was.into_iter().map(Option::unwrap_or_default).collect())
}

#[test]
fn values_are_found_by_key_and_by_place() {
    for (edit, was) in [
        (set("config.lr", 4), "3"),
        (set("config.new", 4), ""),
        (set("config.list.1", 4), "2"),
        (unset("config.list.0"), "1"),
        (unset("name"), "\"net\""),
        (moved("name", "config.name"), "\"net\""),
        (moved("state_dict", "model"), "dict of 1 tensor"),
    ] {
        assert_eq!(check(std::slice::from_ref(&edit)), Ok(vec![was.to_owned()]), "{edit:?}");
    }
    // Each sees what those before it made.
    assert_eq!(
        check(&[set("a", 1), set("a", 2), unset("a")]),
        Ok(vec![String::new(), "1".into(), "2".into()])
    );
}

#[test]
fn what_cannot_be_changed_is_refused() {
    for (edit, why) in [
        (set("state_dict", 1), "`state_dict` is the dict of tensors: `drop` removes tensors"),
        (unset("state_dict"), "`state_dict` is the dict of tensors: `drop` removes tensors"),
        (
            set("state_dict.w", 1),
            "`state_dict.w` lies in the dict of tensors: the other verbs are about those",
        ),
        (moved("name", "state_dict.name"), "lies in the dict of tensors: the other verbs are about those"),
        (unset("config.none"), "`config.none` is not there: `config` has no `none`"),
        (unset("config.lr.x"), "`config.lr.x` is not there: `config.lr` is 3"),
        (set("config.list.2", 1), "`config.list.2` is not there: `config.list` has no `2`"),
        (set("config.list.x", 1), "`config.list.x` is not there: `config.list` has no `x`"),
        (set("config.pair.0", 1), "`config.pair.0` is in a tuple, which cannot change"),
        (unset("config.pair.0"), "`config.pair.0` is in a tuple, which cannot change"),
        (moved("config.lr", "name"), "`config.lr` cannot go to `name`: there is a value already"),
        (moved("config.lr", "config.list.7"), "`config.lr` cannot go to `config.list.7`: no dict is there"),
        (moved("config.lr", "name.x"), "`config.lr` cannot go to `name.x`: no dict is there"),
    ] {
        let error = check(std::slice::from_ref(&edit)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
