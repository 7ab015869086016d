//! Files that are no checkpoints of a kind that is read.

/// What a file is that is no checkpoint of a kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// torch's first format, a tar archive (torch 0.1).
    LegacyTar,
    /// Another tar archive.
    Tar,
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
            Foreign::LegacyTar => "a tar archive of torch 0.1, which is not read",
            Foreign::Tar => "a tar archive, no checkpoint",
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
            Foreign::LegacyTar => "legacy-tar",
            Foreign::Tar => "tar",
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
            Foreign::LegacyTar => {
                "load it and save it again in torch, if you trust where it comes from (loading it executes what it \
                 says): torch.save(torch.load(OLD, weights_only=False), NEW)"
            }
            Foreign::Tar => "unpack it, and name the checkpoint in it",
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
