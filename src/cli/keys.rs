//! `migrate keys`: the key set of a checkpoint.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::formats::{AtomicFile, FormatError, Placement, Replace, keys_yaml};
use crate::printable::printable;
use crate::quantity::counted;

use super::limits::LimitArgs;
use super::target::load_keyset;
use super::{Exit, Failure, Terminal};

/// Writes the keys of a checkpoint, with dtypes and shapes, as a .keys.yaml
///
/// A key set is the reviewable description of one version of a model: put it beside the rule file
/// and under version control. A checkpoint does not tell buffers from parameters, so its key set
/// does not either.
#[derive(Args, Clone, Debug)]
pub struct KeysArgs {
    /// The checkpoint (or another key set)
    #[arg(value_name = "CKPT")]
    pub checkpoint: PathBuf,
    /// Where to write it; without it, to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which dict of tensors, where the file holds several, such as state_dict
    #[arg(long, value_name = "PATH")]
    pub at: Option<String>,
    /// The name of the version; without it, v2 for an output v2.keys.yaml
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Replace the output where it exists
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate keys`.
pub fn run(args: &KeysArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), false)
}

fn work(args: &KeysArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut keyset = load_keyset(&args.checkpoint, args.at.as_deref(), &args.limits.limits())?;
    let given = args.name.clone();
    keyset.name = given.or(keyset.name).or_else(|| args.output.as_deref().and_then(version_of));
    let text = keys_yaml::emit(&keyset);
    let Some(output) = &args.output else {
        terminal.print(&text)?;
        return Ok(Exit::Done);
    };
    write(output, &text, args.force)?;
    let name = printable(&output.display().to_string());
    terminal.tell(&format!("wrote {name}: {}\n", counted(keyset.len(), "key")));
    Ok(Exit::Done)
}

/// The version that the name of a key set file tells: `v2` for `v2.keys.yaml`.
fn version_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".keys.yaml")?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// Writes a text whole or not at all.
pub(super) fn write(path: &Path, text: &str, force: bool) -> Result<(), FormatError> {
    let replace = if force { Replace::Force } else { Replace::Never };
    if !force && path.symlink_metadata().is_ok() {
        return Err(FormatError::Exists { path: path.to_owned() });
    }
    let file = AtomicFile::create(path)?;
    let io = |source| FormatError::Io { path: path.to_owned(), doing: "write", source };
    file.file().write_all(text.as_bytes()).map_err(io)?;
    file.commit(&Placement { replace, sync: false })
}
