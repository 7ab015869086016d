//! Files that are no checkpoints of a kind that is read.

/// What a file is that is no checkpoint of a kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// `torch.save` before 1.6, or with `_use_new_zipfile_serialization=False`.
    LegacyTorch,
    /// torch's first format, a tar archive.
    LegacyTar,
    /// A pickle that torch did not wrap.
    Pickle,
    /// A TorchScript archive (`torch.jit.save`).
    TorchScript,
    /// A torch file from a big-endian machine.
    BigEndian,
    /// The pointer that git-lfs leaves where the file was not fetched.
    GitLfsPointer,
    /// Text.
    Text,
    /// Anything else.
    Unknown,
}

impl Foreign {
    /// What it is, as the rest of the sentence.
    pub(super) fn what(self) -> &'static str {
        match self {
            Foreign::LegacyTorch => "a torch file of the legacy format (before torch 1.6), which is not read",
            Foreign::LegacyTar => "a tar archive (torch's first format), which is not read",
            Foreign::Pickle => "a plain pickle, no torch file",
            Foreign::TorchScript => "a TorchScript archive, which holds code besides its tensors",
            Foreign::BigEndian => "a torch file with big-endian data, which is not read",
            Foreign::GitLfsPointer => "a git-lfs pointer, not the file itself",
            Foreign::Text => "a text file, no checkpoint",
            Foreign::Unknown => "neither a torch file nor a safetensors file",
        }
    }

    /// A stable name of this kind, for programs.
    pub(super) fn code(self) -> &'static str {
        match self {
            Foreign::LegacyTorch => "legacy-torch",
            Foreign::LegacyTar => "legacy-tar",
            Foreign::Pickle => "plain-pickle",
            Foreign::TorchScript => "torchscript",
            Foreign::BigEndian => "big-endian",
            Foreign::GitLfsPointer => "git-lfs-pointer",
            Foreign::Text => "text-file",
            Foreign::Unknown => "unknown-format",
        }
    }

    /// What to do instead, where there is something to say.
    pub(super) fn help(self) -> Option<&'static str> {
        Some(match self {
            Foreign::LegacyTorch | Foreign::LegacyTar => {
                "load it and save it again with torch 1.6 or later: torch.save(torch.load(OLD, weights_only=True), NEW)"
            }
            Foreign::Pickle => "load it with the program that wrote it, and save its tensors with torch.save",
            Foreign::TorchScript => {
                "save the state dict of the module: torch.save(torch.jit.load(OLD).state_dict(), NEW)"
            }
            Foreign::BigEndian => "load it and save it again on a little-endian machine",
            Foreign::GitLfsPointer => "fetch the file: git lfs pull",
            Foreign::Text | Foreign::Unknown => return None,
        })
    }
}
