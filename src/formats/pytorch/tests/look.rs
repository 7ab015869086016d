//! Settings as they are shown.

use super::files::{FOUR, dict, folder, int, pickle, read, tensor, text, torch_file};

#[test]
fn settings_are_shown_as_python_writes_them_and_loops_end() {
    let (_folder, path) = folder();
    // `config` holds itself; `args` is an object with attributes.
    let inner =
        [b"}q\x07(".to_vec(), text("self"), b"h\x07".to_vec(), text("n"), int(1), b"u".to_vec()].concat();
    let list = [b"](".to_vec(), int(1), b"K\x02\x88Ne".to_vec()].concat();
    let deep = |levels: usize| [b"]".repeat(levels), int(1), b"a".repeat(levels)].concat();
    let round = b"]q\x08h\x08a".to_vec();
    let object = [b"clib\nConfig\n)\x81".to_vec(), dict(&[("hidden", int(1))]), b"b".to_vec()].concat();
    let values = [
        ("object", object),
        ("lr", int(-3)),
        ("l", list),
        ("four", deep(4)),
        ("five", deep(5)),
        ("round", round),
    ];
    let namespace = [b"cargparse\nNamespace\n)\x81".to_vec(), dict(&values), b"b".to_vec()];
    let root = dict(&[
        ("state_dict", dict(&[("w", tensor("0", 4, 0, &[4], &[1]))])),
        ("config", inner),
        ("args", namespace.concat()),
        ("opt", text("adam")),
        ("migrate", text("{\"rules\":\"r.rules\"}")),
    ]);
    torch_file(&path, &pickle(root), &[FOUR]);
    let checkpoint = read(&path).unwrap();
    let settings = checkpoint.settings();
    let names: Vec<&str> = settings.iter().map(|settings| settings.name.as_str()).collect();
    assert_eq!(names, ["config", "args"]);
    let config: Vec<String> = settings[0].values.iter().map(|v| format!("{} {}", v.path, v.what)).collect();
    assert_eq!(config.len(), 9);
    assert_eq!(config.last().unwrap(), "n 1");
    let args: Vec<String> = settings[1].values.iter().map(|v| format!("{} {}", v.path, v.what)).collect();
    assert_eq!(
        args,
        [
            "object object lib.Config",
            "lr -3",
            "l [1, 2, True, None]",
            "four [[[[1]]]]",
            "five list of 1",
            "round list of 1"
        ]
    );
    assert_eq!(checkpoint.record().as_deref(), Some("{\"rules\":\"r.rules\"}"));
    assert_eq!(checkpoint.keys_of("config"), ["self", "n"]);
    // A text has none, and what an object has are attributes.
    assert!(checkpoint.keys_of("opt").is_empty() && checkpoint.keys_of("args").is_empty());
}
