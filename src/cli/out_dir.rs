//! Where the outputs of several checkpoints go: into one folder, under their own names.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::is_sharded;

use super::named::Named;
use super::{Exit, Failure};

fn usage(message: String, help: &str) -> Failure {
    Failure::new(Exit::Usage, Diagnostic::error("output", message).help(help))
}

/// The output of each input: its own name, in the folder. Where two have the same name, all keep the folders
/// that they do not have in common.
///
/// # Errors
/// Where an input has a name for its keys or none for a file, and where an output would be an input, another
/// output, or inside another one.
pub(super) fn outputs(inputs: &[Named], folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    if folder.symlink_metadata().is_ok() && !folder.is_dir() {
        let message = format!("`{}` is no folder", folder.display());
        return Err(usage(message, "name a folder for `--out-dir`; it is made where it is not there"));
    }
    let whole = inputs.iter().map(whole_path).collect::<Result<Vec<PathBuf>, Failure>>()?;
    let names = names(&whole);
    let mut outputs = Vec::with_capacity(inputs.len());
    let mut taken: HashMap<&Path, &Named> = HashMap::new();
    for (name, input) in names.iter().zip(inputs) {
        let mut output = folder.join(name);
        if let Some(other) = taken.insert(name, input) {
            let (first, second) = (other.path.display(), input.path.display());
            let message = format!("`{first}` and `{second}` would both become `{}`", output.display());
            return Err(usage(message, "name each checkpoint once"));
        }
        if input.path.is_dir() {
            // A name that ends in `/` asks for shards.
            output.push("");
        } else if output.is_dir() && !is_sharded(&input.path) {
            let message = format!("`{}` is a folder that is there already", output.display());
            return Err(usage(message, "choose another folder"));
        }
        outputs.push(output);
    }
    for (name, input) in names.iter().zip(inputs) {
        let around = name.ancestors().skip(1).find_map(|above| taken.get(above));
        if let Some(other) = around {
            let (inner, outer) = (input.path.display(), other.path.display());
            let message = format!("the output of `{inner}` would lie inside that of `{outer}`");
            return Err(usage(message, "migrate the two into folders of their own"));
        }
    }
    let id = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let inputs: HashSet<(u64, u64)> = inputs.iter().filter_map(|input| id(&input.path)).collect();
    let is_input = |output: &&PathBuf| id(output).is_some_and(|output| inputs.contains(&output));
    match outputs.iter().find(is_input) {
        Some(output) => {
            let message = format!("the output `{}` is one of the inputs", output.display());
            Err(usage(message, "choose another folder"))
        }
        None => Ok(outputs),
    }
}

/// The path of an input from the root, without `.` and `..`, so that no part of it leads out of a folder.
fn whole_path(input: &Named) -> Result<PathBuf, Failure> {
    let path = input.path.display();
    if let Some(name) = &input.name {
        let message =
            format!("`{name}={path}` has a name for its keys, and `--out-dir` takes each by itself");
        return Err(usage(message, "write the path alone; `./a=b.pt` where there is a `=` in it"));
    }
    let nameless = || usage(format!("`{path}` names no file"), "name checkpoints");
    let absolute = std::path::absolute(&input.path).map_err(|_| nameless())?;
    let mut whole = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            other => whole.push(other),
        }
    }
    if whole.file_name().is_some() { Ok(whole) } else { Err(nameless()) }
}

/// The names of outputs inside their folder.
fn names(paths: &[PathBuf]) -> Vec<PathBuf> {
    let own: Vec<PathBuf> = paths.iter().map(|path| below(path, folder_of(path))).collect();
    if own.iter().collect::<HashSet<_>>().len() == own.len() {
        return own;
    }
    let mut folders = paths.iter().map(|path| folder_of(path));
    let mut common = folders.next().unwrap_or(Path::new("/"));
    for folder in folders {
        while !folder.starts_with(common) {
            common = common.parent().unwrap_or(Path::new("/"));
        }
    }
    paths.iter().map(|path| below(path, common)).collect()
}

/// The folder that a checkpoint lies in. An index belongs to its folder, whose name is that of the model.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(path);
    let is_index = path.extension().is_some_and(|extension| extension == "json");
    if is_index { folder.parent().unwrap_or(folder) } else { folder }
}

fn below(path: &Path, folder: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(paths: &[&str]) -> Result<Vec<String>, String> {
        let inputs: Vec<Named> =
            paths.iter().map(|path| Named { name: None, path: PathBuf::from(path) }).collect();
        let outputs = outputs(&inputs, Path::new("/nowhere/out"));
        let outputs = outputs.map_err(|failure| failure.diagnostics[0].message.clone())?;
        Ok(outputs.iter().map(|output| output.display().to_string().replace("/nowhere/out/", "")).collect())
    }

    fn are(paths: &[&str], outputs: &[&str]) {
        let outputs = outputs.iter().map(|&output| output.to_owned()).collect();
        assert_eq!(named(paths), Ok(outputs));
    }

    fn refused(paths: &[&str], message: &str) {
        let refused = named(paths);
        assert!(refused.as_ref().is_err_and(|found| found.contains(message)), "{refused:?}");
    }

    #[test]
    fn names_are_kept_and_folders_only_where_names_are_the_same() {
        are(&["runs/1/a.ckpt", "runs/2/b.ckpt"], &["a.ckpt", "b.ckpt"]);
        are(
            &["runs/1/last.ckpt", "./runs/2/../3/last.ckpt", "runs/b.ckpt"],
            &["1/last.ckpt", "3/last.ckpt", "b.ckpt"],
        );
        are(&["/x/y/a.pt", "/x/../../a.pt"], &["x/y/a.pt", "a.pt"]);
        are(&["m/model.index.json", "n/a.pt"], &["m/model.index.json", "a.pt"]);
    }

    #[test]
    fn no_output_is_another_one_or_inside_of_it() {
        refused(&["a.pt", "./a.pt"], "`a.pt` and `./a.pt` would both become `/nowhere/out/a.pt`");
        refused(&["a", "a/b.pt", "c/b.pt"], "inside that of `a`");
        refused(&["/"], "names no file");
        refused(&[""], "names no file");
    }
}
