//! `migrate plan --html` writes a page with the plan in it, and nothing over what is there.
//!
//! What the page does in a browser is tested in `tests/browser`.

use serde_json::Value;

use crate::command::{Folder, Ran};

/// A folder with rules and a checkpoint whose keys want to be markup.
fn folder() -> Folder {
    let folder = Folder::new();
    let rules = "rename a.* -> b.*\ndrop old  # </script>\n";
    folder.write("r.rules", rules).tensors("old.safetensors", "a.</script> f32 [2, 3]\nold f32 [2]\n");
    folder
}

fn plan(folder: &Folder, more: &[&str]) -> Ran {
    let mut all = vec!["plan", "--rules", "r.rules", "--no-target", "old.safetensors"];
    all.extend(more);
    folder.run(&all)
}

/// The data in a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script id="plan" type="application/json">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_page_holds_the_plan_as_json_has_it_and_the_keys_before() {
    let folder = folder();
    let ran = plan(&folder, &["--html", "plan.html"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(ran.stderr, "wrote plan.html: 1 tensor out of 2: 1 renamed; 1 dropped\n");
    let page = String::from_utf8(folder.read("plan.html")).unwrap();
    let mut drawn = data(&page);
    let sources = drawn["dicts"][0].as_object_mut().unwrap().remove("sources").unwrap();
    let expected =
        r#"[{"key":"a.</script>","dtype":"f32","shape":[2,3]},{"key":"old","dtype":"f32","shape":[2]}]"#;
    assert_eq!(sources.to_string(), expected);
    assert_eq!(drawn, serde_json::from_str::<Value>(&plan(&folder, &["--json"]).stdout).unwrap());
}

#[test]
fn equal_plans_give_equal_pages() {
    let folder = folder();
    plan(&folder, &["--html", "1.html"]);
    plan(&folder, &["--html", "2.html"]);
    assert!(folder.read("1.html") == folder.read("2.html"));
}

#[test]
fn a_page_that_exists_is_replaced_only_by_force() {
    let folder = folder();
    folder.write("plan.html", "precious");
    let ran = plan(&folder, &["--html", "plan.html"]);
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("error[output-exists]") && ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(folder.read("plan.html"), b"precious");
    assert_eq!(plan(&folder, &["--html", "plan.html", "--force"]).exit, 0);
    assert_ne!(folder.read("plan.html"), b"precious");
}

#[test]
fn what_is_no_plan_is_not_drawn() {
    let folder = folder();
    folder.write("r.rules", "rename nothing -> something\n");
    assert_eq!(plan(&folder, &["--html", "plan.html"]).exit, 1);
    folder
        .write("r.rules", "rename a.* -> b.*\ndrop old\n")
        .tensors("v2.safetensors", "b.</script> f32 [2, 3]\n");
    let migrated =
        ["plan", "--rules", "r.rules", "--target", "v2.safetensors", "v2.safetensors", "--html", "plan.html"];
    let ran = folder.run(&migrated);
    assert!(ran.exit == 0 && ran.stdout.contains("nothing to do"), "{ran:?}");
    assert!(!folder.has("plan.html"));
}

#[test]
fn it_takes_the_place_of_the_other_forms() {
    let folder = folder();
    for more in [["--html", "plan.html", "--json"].as_slice(), &["--html", "plan.html", "-v"], &["--force"]] {
        assert_eq!(plan(&folder, more).exit, 2, "{more:?}");
    }
    assert!(!folder.has("plan.html"));
}
