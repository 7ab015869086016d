//! Where outputs go, and that the input survives them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::formats::{Checkpoint, Format, FormatError, Placement, Replace, ShardNames, is_sharded};

use super::backup::{self, Backup};
use super::named::Named;
use super::{Exit, Failure};

/// Where the outputs go.
pub(super) struct Place {
    outputs: Vec<Output>,
    backup: Option<PathBuf>,
}

/// An output as the command line names it.
struct Output {
    named: Named,
    form: Form,
}

/// What the name of an output asks for.
enum Form {
    /// One file.
    File(Format),
    /// One file in the source's format, in its place.
    InPlace,
    /// Shards and an index of these names.
    Shards(ShardNames),
    /// Shards in a folder, in the source's format.
    Folder,
}

/// An output whose files are known.
pub(super) struct Settled {
    pub name: Option<String>,
    /// The file, or the index of shards.
    pub path: PathBuf,
    pub format: Format,
    /// What the shards are called, where there are any.
    pub shards: Option<ShardNames>,
}

fn usage(message: String, help: &str) -> Failure {
    Failure::new(Exit::Usage, Diagnostic::error("output", message).help(help))
}

/// The place that the command line names.
///
/// # Errors
/// Where an output would be an input or another output, where several have no names, and where a name does
/// not say the format.
pub(super) fn of(inputs: &[Named], outputs: &[Named], shards: bool) -> Result<Place, Failure> {
    for (index, output) in outputs.iter().enumerate() {
        let path = output.path.display();
        if inputs.iter().any(|input| same_file(&input.path, &output.path)) {
            return Err(is_input(&output.path, "choose another name, or write `--in-place --backup .bak`"));
        }
        if outputs.len() > 1 && output.name.is_none() {
            let help = "write `-o r0=a.pt -o r1=b.pt`: each takes the keys under its name";
            return Err(usage(format!("the output `{path}` is one of several and has no name"), help));
        }
        let before = &outputs[..index];
        if before.iter().any(|other| other.name == output.name || same_file(&other.path, &output.path)) {
            return Err(named_twice(&output.path));
        }
    }
    let outputs = outputs.iter().map(|named| {
        let form = Form::of(&named.path, shards)?;
        Ok(Output { named: named.clone(), form })
    });
    Ok(Place { outputs: outputs.collect::<Result<_, FormatError>>()?, backup: None })
}

/// The place of the input; `suffix` is what its old name gets.
///
/// # Errors
/// Where there are several inputs or shards, the input is a link, and where the suffix is none.
pub(super) fn in_place(inputs: &[Named], suffix: &str) -> Result<Place, Failure> {
    let [input @ Named { name: None, path }] = inputs else {
        let help = "write `-o FILE`";
        return Err(usage("only a single input without a name can be replaced in place".to_owned(), help));
    };
    if is_sharded(path) {
        let message = format!("`{}` is in shards, which are not replaced in place", path.display());
        return Err(usage(message, "write a new folder: `-o out/`"));
    }
    if suffix.is_empty() || suffix.contains('/') {
        let help = "write, for example, `--backup .bak`";
        return Err(usage(format!("`{suffix}` is no suffix for a file name"), help));
    }
    if let Ok(target) = fs::read_link(path) {
        // The name, or the file that others may know by what is in it: which one is to change is not ours to say.
        let message = format!("`{}` is a link to `{}`", path.display(), target.display());
        return Err(usage(message, "name the file that it leads to, or write `-o FILE`"));
    }
    let mut backup = path.as_os_str().to_owned();
    backup.push(suffix);
    let outputs = vec![Output { named: input.clone(), form: Form::InPlace }];
    Ok(Place { outputs, backup: Some(PathBuf::from(backup)) })
}

impl Form {
    fn of(path: &Path, shards: bool) -> Result<Form, FormatError> {
        let name = path.as_os_str().as_encoded_bytes();
        if path.is_dir() || name.ends_with(b"/") {
            Ok(Form::Folder)
        } else if name.ends_with(b".json") {
            ShardNames::of_index(path).map(Form::Shards)
        } else if shards {
            ShardNames::of_file(path).map(Form::Shards)
        } else {
            Format::from_extension(path).map(Form::File)
        }
    }
}

impl Place {
    /// Refuses early what could only be refused after all the work.
    ///
    /// # Errors
    /// Where an output or the backup exists and must not be replaced.
    pub fn check(&self, placement: &Placement) -> Result<(), Failure> {
        if let (Some(backup), [output]) = (&self.backup, self.outputs.as_slice()) {
            return backup::check(&output.named.path, backup);
        }
        if placement.replace != Replace::Never {
            return Ok(());
        }
        for output in &self.outputs {
            let taken = match &output.form {
                Form::Shards(names) => names.occupied()?.into_iter().next(),
                Form::Folder => None, // what it will hold is known with the source's format
                Form::File(_) | Form::InPlace => {
                    let path = &output.named.path;
                    path.symlink_metadata().is_ok().then(|| path.clone())
                }
            };
            if let Some(path) = taken {
                return Err(FormatError::Exists { path }.into());
            }
        }
        Ok(())
    }

    /// Whether the outputs can hold several dicts of tensors: safetensors files and shards hold one.
    pub fn holds_several_dicts(&self) -> bool {
        let mut forms = self.outputs.iter().map(|output| &output.form);
        forms.all(|form| matches!(form, Form::File(Format::TorchZip) | Form::InPlace))
    }

    /// Whether there is one output, and it is in shards.
    pub fn is_one_in_shards(&self) -> bool {
        let outputs: Vec<&Form> = self.outputs.iter().map(|output| &output.form).collect();
        matches!(outputs.as_slice(), [Form::Shards(_) | Form::Folder])
    }

    /// The files of the outputs, now that the source is known.
    ///
    /// # Errors
    /// Where one of them is a file of the source or of another output, or exists and must not be replaced.
    pub fn settle(&self, source: &Checkpoint, placement: &Placement) -> Result<Vec<Settled>, Failure> {
        let own_index = source.sharded.as_ref().map(|sharded| sharded.name.as_str());
        let mut taken: Vec<PathBuf> = Vec::new();
        let mut settled = Vec::with_capacity(self.outputs.len());
        for Output { named: Named { name, path }, form } in &self.outputs {
            let shards = match form {
                Form::File(_) | Form::InPlace => None,
                Form::Shards(names) => Some(names.clone()),
                Form::Folder => Some(ShardNames::in_folder(path, source.format, own_index)),
            };
            let format = match (form, &shards) {
                (Form::File(format), _) => *format,
                (_, Some(names)) => names.format(),
                _ => source.format,
            };
            // The files that the output makes or replaces.
            let files = match &shards {
                None => vec![path.clone()],
                Some(names) => {
                    let occupied = names.occupied()?;
                    if let (Replace::Never, Some(path)) = (placement.replace, occupied.first()) {
                        return Err(FormatError::Exists { path: path.clone() }.into());
                    }
                    [occupied, vec![names.index(), names.single()]].concat()
                }
            };
            let is_source = |file: &&PathBuf| {
                same_file(file, &source.path) || source.files().any(|own| same_file(file, own))
            };
            if let (false, Some(file)) = (matches!(form, Form::InPlace), files.iter().find(is_source)) {
                let help = "choose another name, or another folder: `-o out/`";
                return Err(is_input(file, help));
            }
            if let Some(file) = files.iter().find(|file| taken.iter().any(|other| same_file(file, other))) {
                return Err(named_twice(file));
            }
            taken.extend(files);
            let path = shards.as_ref().map_or_else(|| path.clone(), ShardNames::index);
            settled.push(Settled { name: name.clone(), path, format, shards });
        }
        Ok(settled)
    }

    /// Gives an input that is to be replaced its second name.
    ///
    /// # Errors
    /// As [`Backup::make`].
    pub fn back_up(&self, placement: &Placement) -> Result<Option<Backup>, Failure> {
        let (Some(backup), [output]) = (&self.backup, self.outputs.as_slice()) else { return Ok(None) };
        Backup::make(&output.named.path, backup, placement).map(Some)
    }
}

fn is_input(output: &Path, help: &str) -> Failure {
    usage(format!("the output `{}` is the input", output.display()), help)
}

fn named_twice(output: &Path) -> Failure {
    usage(
        format!("the output `{}` is named twice", output.display()),
        "each output has a name and a file of its own",
    )
}

fn same_file(first: &Path, second: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    first == second || id(first).is_some_and(|first| Some(first) == id(second))
}
