//! Keys from strangers' files: whatever they hold, a terminal shows it as text, and what is written can be read again.

use serde_json::Value;

use crate::command::{Folder, Ran};
use crate::safetensors;
use crate::tensors::Tensor;

/// Names that want to be more than names.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "clears.\u{1b}[2J\u{1b}[H.weight",
        "link.\u{1b}]8;;http://x\u{7}here\u{1b}]8;;\u{7}",
        "eight bits.\u{9b}31m\u{85}\u{90}.w",
        "turns.\u{202e}thgiew\u{202c}.\u{2066}a\u{2069}",
        "unseen.\u{200b}\u{feff}\u{ad}\u{e0041}.w",
        "two\nlines\r\nand\u{2028}three.w",
        "over\u{8}\u{8}\u{8}\u{8}written\rby.this",
        "nul.\u{0}.w",
        "tab\tbed.\u{b}\u{c}\u{7f}",
        " spaces around . them ",
        "'quotes' \"and\" \\backslashes\\.w",
        "yaml: {a: [1, 2]} # no, *x &y !z |>.w",
        "</script><!--<script>&lt;b onload=\"x\">.w",
        "grammar.{i:int}.**->*.w",
        "",
        ".",
        "..",
        "a..b",
        "~",
        "null",
        "true",
        "1",
        "1.0",
        "-",
        "- a",
        "? a",
        "=",
        "<<",
        "%YAML",
        "ключ.キー.🔑.é.e\u{301}",
    ]
    .map(str::to_owned)
    .into();
    names.push(format!("long.{}.w", "x".repeat(10_000)));
    names.push(vec!["deep"; 1000].join("."));
    names
}

/// A folder with the names in a file, and the same under `model.` as what is wanted.
fn folder() -> Folder {
    let folder = Folder::new();
    let tensors = |before: &str| -> Vec<u8> {
        let tensors = names().into_iter().enumerate();
        let tensor = |(index, name)| Tensor::counting(&format!("{before}{name}"), "f32", &[2], index as u64);
        safetensors::to_bytes(&tensors.map(tensor).collect::<Vec<_>>())
    };
    folder.write("old.safetensors", tensors("")).write("new.safetensors", tensors("model."));
    folder.write("r.rules", "rename ** -> model.**\n");
    folder
}

/// Checks that a terminal only ever shows what was written: no character moves the cursor, colours, turns the
/// reading direction, or cannot be seen.
fn is_plain(ran: &Ran, of: &str) {
    for text in [&ran.stdout, &ran.stderr] {
        let disturbs = |char: &char| {
            (char.is_control() && *char != '\n')
                || matches!(*char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
                || matches!(*char, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
        };
        let found = text.char_indices().find(|(_, char)| disturbs(char));
        assert!(found.is_none(), "{of}: {found:?} in\n{text:?}");
    }
    assert!(!ran.stderr.contains("panicked"), "{of}: {}", ran.stderr);
}

#[test]
fn nothing_on_the_screen_is_more_than_text() {
    let folder = folder();
    folder.write("miss.rules", "rename long.* -> model.*\n");
    let key = &names()[0];
    for arguments in [
        &["keys", "old.safetensors"] as &[&str],
        &["inspect", "old.safetensors"],
        &["inspect", "old.safetensors", "-v"],
        &["diff", "old.safetensors", "new.safetensors"],
        &["plan", "--rules", "r.rules", "old.safetensors", "--target", "new.safetensors"],
        &["plan", "--rules", "r.rules", "old.safetensors", "--target", "new.safetensors", "-v"],
        &["plan", "--rules", "r.rules", "old.safetensors", "--target", "old.safetensors"],
        &["plan", "--rules", "miss.rules", "old.safetensors", "--target", "new.safetensors", "-v"],
        &["explain", key, "--rules", "r.rules", "old.safetensors", "--no-target"],
        &["explain", "long.no", "--rules", "r.rules", "old.safetensors", "--no-target"],
        &["invert", "--rules", "r.rules", "old.safetensors"],
        &["invert", "--rules", "miss.rules", "old.safetensors"],
        &["--rules", "r.rules", "old.safetensors", "-o", "out.safetensors", "--target", "new.safetensors"],
        &[
            "verify",
            "old.safetensors",
            "out.safetensors",
            "--rules",
            "r.rules",
            "--target",
            "new.safetensors",
        ],
        &["verify", "old.safetensors", "new.safetensors", "--rules", "miss.rules", "--no-target"],
        &["init", "old.safetensors", "--dir", "m"],
        &["check", "m"],
        &["status", "m", "old.safetensors"],
        &["plan", "--rules", "r.rules", "\u{1b}[2J\u{202e}.safetensors", "--no-target"],
    ] {
        is_plain(&folder.run(arguments), &arguments.join(" "));
    }
    assert!(folder.has("out.safetensors"), "{:?}", folder.names());
}

#[test]
fn rules_take_in_files_alone() {
    let folder = folder();
    let made = std::process::Command::new("mkfifo").arg(folder.path("pipe.rules")).status().unwrap();
    assert!(made.success());
    for path in ["/dev/zero", "pipe.rules", "."] {
        folder.write("include.rules", format!("include \"{path}\"\n"));
        let ran = folder.run(&["plan", "--rules", "include.rules", "old.safetensors", "--no-target"]);
        assert_eq!(ran.exit, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("{path}`: it is no file")), "{}", ran.stderr);
    }
}

#[test]
fn a_page_holds_no_markup_of_theirs() {
    let folder = folder();
    let ran =
        folder.run(&["plan", "--rules", "r.rules", "old.safetensors", "--no-target", "--html", "p.html"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let page = String::from_utf8(folder.read("p.html")).unwrap();
    assert!(!page.contains("<!--<script>") && !page.contains("onload=\""));
    let (_, data) = page.split_once(r#"<script id="plan" type="application/json">"#).unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    assert!(data.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\n'), "only plain ASCII");
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(keys_in(&data["dicts"][0]["sources"]), names());
}

fn keys_in(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_set_and_json_give_every_name_back() {
    let folder = folder();
    let written = folder.run(&["keys", "old.safetensors", "-o", "old.keys.yaml"]);
    assert_eq!(written.exit, 0, "{}", written.stderr);
    let same = folder.run(&["diff", "old.safetensors", "old.keys.yaml"]);
    assert_eq!(same.exit, 0, "{}{}", same.stdout, same.stderr);
    // Any other reader of YAML reads the same keys.
    let text = String::from_utf8(folder.read("old.keys.yaml")).unwrap();
    let yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let keys: Vec<&str> =
        yaml["tensors"].as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys, names());
    folder.write("r.keys.yaml", "format: 1\ntensors: {}\n");
    for (arguments, place) in [
        (&["diff", "old.safetensors", "r.keys.yaml", "--json"] as &[&str], "/unexpected"),
        (&["plan", "--rules", "r.rules", "old.safetensors", "--no-target", "--json"], "/dicts/0/outputs"),
    ] {
        let ran = folder.run(arguments);
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        let found = told.pointer(place).unwrap_or_else(|| panic!("{place} in {}", &ran.stdout[..600]));
        let found: Vec<String> =
            keys_in(found).iter().map(|key| key.strip_prefix("model.").unwrap_or(key).to_owned()).collect();
        assert_eq!(found, names(), "{arguments:?}");
    }
}
