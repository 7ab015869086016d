//! Checkpoints as files in memory.

use std::path::PathBuf;
use std::sync::LazyLock;

use ckpt_migrate::formats::{
    self, Checkpoint, Content, EntryData, Format, FormatError, Limit, Limits, Output, OutputDict,
    OutputTensor, Placement, Replace,
};
use ckpt_migrate::keyset::KeySet;

/// A folder of this process alone, which `fuzz/run` takes away; in memory, where there is some.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let parent = match std::env::var_os("MIGRATE_FUZZ_FOLDER") {
        Some(folder) => PathBuf::from(folder),
        None if memory.is_dir() => memory,
        None => std::env::temp_dir(),
    };
    let folder = parent.join(format!("migrate-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
});

const FORCE: Placement = Placement { replace: Replace::Force, sync: false };

/// Opens bytes as a checkpoint, with budgets under which a target stays fast.
pub fn open(name: &str, bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    let path = FOLDER.join(name);
    std::fs::write(&path, bytes).expect("a file can be written");
    let mut limits = Limits::default();
    limits.set(Limit::PickleValues, 100_000);
    limits.set(Limit::InflatedBytes, 16 << 20);
    formats::open(&path, &[], &limits)
}

/// What must hold of every checkpoint that is read: each error has a text and a code, and a copy reads as the same.
pub fn check(read: Result<Checkpoint, FormatError>) {
    let source = match read {
        Ok(source) => source,
        Err(error) => return told(&error),
    };
    let _ = ckpt_migrate::cli::target::keyset_of(&source);
    let (format, name) = match source.format {
        Format::TorchZip => (Format::TorchZip, "copy.pt"),
        Format::Safetensors => (Format::Safetensors, "copy.safetensors"),
    };
    if let Some(copy) = copy(&source, format, name) {
        let again = copy.unwrap_or_else(|error| panic!("what was written is not read: {error}"));
        same(&source, &again);
    }
    if source.format == Format::TorchZip
        && let Some(copy) = copy(&source, Format::Safetensors, "copy.safetensors")
    {
        let again = copy.unwrap_or_else(|error| panic!("what was written is not read: {error}"));
        same(&source, &again);
    }
}

fn told(error: &FormatError) {
    assert!(!error.to_string().is_empty() && !error.code().is_empty());
    let _ = error.help();
}

/// Writes every entry as it is, and reads that; `None` where the writer refuses.
fn copy(source: &Checkpoint, format: Format, name: &str) -> Option<Result<Checkpoint, FormatError>> {
    let dicts = source.dicts.iter().map(|dict| OutputDict {
        tensors: dict
            .entries
            .iter()
            .enumerate()
            .map(|(entry, kept)| OutputTensor { key: kept.key.clone(), content: Content::Kept { entry } })
            .collect(),
        ..OutputDict::default()
    });
    let output = Output {
        source,
        format,
        dicts: dicts.collect(),
        record: Default::default(),
        optimizers: Vec::new(),
        edits: &[],
        weights_only: format == Format::Safetensors && source.format == Format::TorchZip,
        progress: &(),
    };
    let path = FOLDER.join(name);
    match formats::write(&output, &path, &FORCE) {
        Ok(_) => Some(formats::open(&path, &[], &Limits::default())),
        Err(error) => {
            told(&error);
            None
        }
    }
}

/// Asserts that two checkpoints hold the same tensors, byte for byte.
fn same(one: &Checkpoint, other: &Checkpoint) {
    let (one, other) = (&one.main_dict().entries, &other.main_dict().entries);
    assert_eq!(one.len(), other.len());
    for entry in one {
        let found = other.iter().find(|found| found.key == entry.key);
        let found = found.unwrap_or_else(|| panic!("`{}` is gone", entry.key));
        assert_eq!(entry.spec(), found.spec(), "`{}`", entry.key);
        if let (EntryData::Stored(one), EntryData::Stored(other)) = (&entry.data, &found.data)
            && let (Some(one), Some(other)) = (one.extent(), other.extent())
        {
            assert_eq!(bytes(&one), bytes(&other), "`{}`", entry.key);
        }
    }
}

fn bytes(extent: &formats::Extent) -> Vec<u8> {
    let mut bytes = vec![0; extent.len as usize];
    extent.file.read_at(&mut bytes, extent.offset).expect("the bytes are there");
    bytes
}

/// A small key set for the targets that need one.
pub fn keys() -> KeySet {
    let text = "format: 1\ntensors:\n  enc.0.w: f32 [4, 6]\n  enc.0.b: f32 [4]\n  enc.1.w: f32 [4, 6]\n  \
                enc.1.b: f32 [4]\n  head.qkv: bf16 [12, 4]\n  head.n: i64 []\n";
    formats::keys_yaml::parse("keys", text).expect("the key set is one")
}
