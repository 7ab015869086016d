//! `--stats`: where the time went, and how the bytes came into the output.

use crate::command::Folder;

#[test]
fn every_byte_of_the_output_came_in_one_way() {
    let folder = Folder::new();
    folder
        .tensors("old.safetensors", "a f32 [2, 2] 1 2 3 4\nb f32 [2] 5 6")
        .write("r.rules", "rename a -> c\ncast b to f64\n");
    let args = "--rules r.rules old.safetensors -o new.safetensors --no-target --stats";
    let ran = folder.run(&args.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let told = ran.stderr;
    assert!(told.contains("time: open ") && told.contains(", sync "), "{told}");

    let args = format!("{args} --force --json");
    let ran = folder.run(&args.split(' ').collect::<Vec<_>>());
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let bytes = &report["stats"]["bytes"];
    let [shared, copied, computed] = ["shared", "copied", "computed"].map(|way| bytes[way].as_u64().unwrap());
    assert_eq!(copied, 16, "`a` as it is");
    assert_eq!(shared + copied + computed, folder.read("new.safetensors").len() as u64);
    assert!(report["stats"]["seconds"]["move"].as_f64().unwrap() > 0.0);
}
