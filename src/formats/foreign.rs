//! Files that are no checkpoints of a kind that is read.

use std::path::Path;

/// What a file is that is no checkpoint of a kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// torch's first format, a tar archive (torch 0.1).
    LegacyTar,
    /// Another tar archive.
    Tar,
    /// A distributed checkpoint of torch, a folder.
    Distributed,
    /// A distributed checkpoint that Lightning or Fabric wrote, which have put a file of their own beside it.
    DistributedLightning,
    /// One of the files of a distributed checkpoint.
    DistributedPart,
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
    pub fn what(self) -> &'static str {
        match self {
            Foreign::LegacyTar => "a tar archive of torch 0.1, which is not read",
            Foreign::Tar => "a tar archive, no checkpoint",
            Foreign::Distributed => "a distributed checkpoint of torch, whose tensors lie in pieces",
            Foreign::DistributedLightning => {
                "a distributed checkpoint that Lightning or Fabric wrote, whose tensors lie in pieces"
            }
            Foreign::DistributedPart => "one of the files of a distributed checkpoint of torch",
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
            Foreign::Distributed | Foreign::DistributedLightning | Foreign::DistributedPart => "distributed",
            Foreign::Pickle => "plain-pickle",
            Foreign::TorchScript => "torchscript",
            Foreign::BigEndian => "big-endian",
            Foreign::GitLfsPointer => "git-lfs-pointer",
            Foreign::Text => "text-file",
            Foreign::Unknown => "unknown-format",
        }
    }

    /// The command that makes one file of a distributed checkpoint at `path`: torch's own, or Lightning's.
    pub fn conversion(self, path: &Path) -> Option<String> {
        let folder = match self {
            Foreign::DistributedPart => path.parent().filter(|folder| *folder != Path::new("")),
            _ => Some(path),
        };
        let folder = shell_word(folder.unwrap_or(Path::new(".")));
        match self {
            Foreign::Distributed | Foreign::DistributedPart => Some(format!(
                "python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} out.pt"
            )),
            Foreign::DistributedLightning => Some(format!(
                "python -m lightning.pytorch.utilities.consolidate_checkpoint {folder} --output_file out.ckpt"
            )),
            _ => None,
        }
    }

    /// What to do instead with the file at `path`, where there is something to say.
    pub(super) fn help(self, path: &Path) -> Option<String> {
        if let Some(command) = self.conversion(path) {
            let fabric = match self {
                Foreign::DistributedLightning => " (with `lightning.fabric` in it where Fabric wrote it)",
                _ => "",
            };
            return Some(format!("make one file of it first: {command}{fabric}"));
        }
        self.general_help().map(str::to_owned)
    }

    fn general_help(self) -> Option<&'static str> {
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
            _ => return None,
        })
    }
}

/// A path as a shell takes it for one word.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,~".contains(c);
    match text.chars().all(plain) && !text.is_empty() {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
