//! `migrate inspect`: what a checkpoint file holds.

mod distributed;
mod globals;
mod modules;
mod optimizers;
mod summary;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::formats::{self, Checkpoint, EntryData, Format};
use crate::keyset::{Key, KeyInfo, KeySet, Role};

use super::limits::LimitArgs;
use super::record::Record;
use super::target::tied_keys;
use super::{Exit, Failure, Terminal, json_text};

use modules::Tensor;

/// Shows what a checkpoint holds: tensors, dtypes, sizes, and all else
///
/// Nothing in the file is executed, whatever it says.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// The checkpoint
    #[arg(value_name = "CKPT")]
    pub checkpoint: PathBuf,
    /// Which dict of tensors, where the file holds several, such as state_dict
    #[arg(long, value_name = "PATH")]
    pub at: Option<String>,
    /// JSON to standard output
    #[arg(long)]
    pub json: bool,
    /// Every key with its dtype and shape
    #[arg(long)]
    pub keys: bool,
    /// How many levels of modules; without it, as many as fit a screen
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64), conflicts_with = "keys")]
    pub depth: Option<u8>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate inspect`.
pub fn run(args: &InspectArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), args.json)
}

fn work(args: &InspectArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let limits = args.limits.limits();
    let depth = args.depth.map(usize::from);
    let found = if args.at.is_none() { formats::open_distributed(&args.checkpoint, &limits)? } else { None };
    let shown = if let Some(found) = found {
        match args.json {
            true => json_text::pretty(&distributed::to_json(&found, args.keys, depth)),
            false => distributed::to_text(&found, args.keys, depth),
        }
    } else {
        let checkpoint = formats::open(&args.checkpoint, args.at.as_deref().as_slice(), &limits)?;
        let sizes = checkpoint.files().map(|file| std::fs::metadata(file).map_or(0, |found| found.len()));
        let bytes = sizes.sum();
        let inspected = Inspected { depth, ..Inspected::new(&checkpoint, bytes) };
        match args.json {
            true => json_text::pretty(&inspected.to_json(args.keys)),
            false => inspected.to_text(args.keys),
        }
    };
    terminal.print(&shown)?;
    Ok(Exit::Done)
}

/// A checkpoint and what follows from it.
struct Inspected<'a> {
    checkpoint: &'a Checkpoint,
    /// The size of the file, or of all shards.
    bytes: u64,
    keys: KeySet,
    /// How many levels of modules are shown; as many as fit, where absent.
    depth: Option<usize>,
}

impl<'a> Inspected<'a> {
    fn new(checkpoint: &'a Checkpoint, bytes: u64) -> Self {
        let keys = tied_keys(checkpoint, checkpoint.main_dict());
        Inspected { checkpoint, bytes, keys, depth: None }
    }

    /// The tensors; one that is tied to another has no bytes of its own.
    fn tensors(&self) -> Vec<Tensor<'_>> {
        self.keys
            .iter()
            .map(|(key, info)| Tensor { key, spec: &info.spec, own: info.tied.is_none() })
            .collect()
    }

    fn format_name(&self) -> &'static str {
        match self.checkpoint.format {
            Format::Safetensors => "safetensors",
            Format::TorchZip if self.checkpoint.origin.legacy => "torch legacy",
            Format::TorchZip => "torch zip",
        }
    }

    /// The number of shards, where it is sharded.
    fn shards(&self) -> Option<usize> {
        self.checkpoint.sharded.as_ref().map(|sharded| sharded.shards.len())
    }

    /// The version of Lightning that wrote the file.
    fn lightning(&self) -> Option<&str> {
        let version = self.checkpoint.others.iter().find(|other| other.path == "pytorch-lightning_version");
        version.and_then(|other| other.what.strip_prefix('"')?.strip_suffix('"'))
    }

    /// Entries of the state dict that are no plain tensors, and what they are.
    fn opaque(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checkpoint.main_dict().entries.iter().filter_map(|entry| match &entry.data {
            EntryData::Opaque { what } => Some((&*entry.key, what.as_str())),
            EntryData::Stored(_) => None,
        })
    }

    fn to_json(&self, keys: bool) -> Value {
        let checkpoint = self.checkpoint;
        let tensors = self.tensors();
        let pairs = |pairs: &mut dyn Iterator<Item = (String, String)>, names: [&str; 2]| -> Vec<Value> {
            pairs.map(|(first, second)| json!({ names[0]: first, names[1]: second })).collect()
        };
        let mut others = checkpoint.others.iter().map(|other| (other.path.clone(), other.what.clone()));
        let mut opaque = self.opaque().map(|(key, what)| (key.to_owned(), what.to_owned()));
        let tied = self.keys.iter().filter_map(|(key, info)| Some((key, info.tied.as_ref()?)));
        let mut tied = tied.map(|(key, to)| (key.to_string(), to.to_string()));
        let mut value = json!({
            "path": checkpoint.path.display().to_string(),
            "format": self.format_name(),
            "file_bytes": self.bytes,
            "shards": self.shards(),
            "at": checkpoint.main_dict().at.to_string(),
            "torch": { "layout": checkpoint.origin.torch(), "records": checkpoint.origin.records },
            "lightning": self.lightning(),
            "migrated": self.record(),
            "settings": self.settings_json(),
            "optimizers": optimizers::to_json(&checkpoint.optimizers),
            "tied": pairs(&mut tied, ["key", "to"]),
            "opaque": pairs(&mut opaque, ["key", "what"]),
            "others": pairs(&mut others, ["path", "what"]),
            "metadata": checkpoint.metadata,
            "globals": checkpoint.globals,
            "globals_not_allowed": checkpoint.refused.globals,
            "refused_by_weights_only": globals::to_json(&checkpoint.refused),
        });
        if let Value::Object(all) = &mut value {
            all.extend(summary::totals_json(&tensors, self.depth));
            if keys {
                let keys = self.keys.iter().map(|(key, info)| key_json(key, info));
                all.insert("keys".to_owned(), keys.collect());
            }
        }
        value
    }

    /// What `migrate` has noted in the file.
    fn record(&self) -> Option<Record> {
        Record::of(self.checkpoint)
    }

    fn settings_json(&self) -> Value {
        let mut all = Map::new();
        for settings in self.checkpoint.settings() {
            let values = settings.values.into_iter().map(|value| (value.path, Value::String(value.what)));
            all.insert(settings.name, Value::Object(values.collect()));
        }
        Value::Object(all)
    }
}

fn key_json(key: &Key, info: &KeyInfo) -> Value {
    json!({
        "key": &**key,
        "dtype": info.spec.dtype.name(),
        "shape": info.spec.shape,
        "parameter": info.role == Some(Role::Parameter),
        "tied": info.tied.as_deref(),
    })
}
