//! What becomes of what a file says of the migrations that made it.

/// What becomes of the record of migrations: the safetensors metadata key `migrate`, or the key `migrate` of a
/// torch file's root dict; where that is itself the state dict, an entry `migrate` of the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// What the source has stays.
    #[default]
    Keep,
    /// This JSON text is written.
    Write(String),
    /// What the source has goes.
    Remove,
}

impl Recording {
    /// What is written.
    pub fn text(&self) -> Option<&str> {
        if let Recording::Write(text) = self { Some(text) } else { None }
    }
}
