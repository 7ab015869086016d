//! Tensors at rest: which bytes of which file they are, and in which strides.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::FormatError;
use crate::tensor::{TensorSpec, contiguous_strides};

/// An input file that stays open while tensors point into it.
#[derive(Debug)]
pub struct SourceFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl SourceFile {
    /// Opens a regular file for positional reads.
    ///
    /// # Errors
    /// Where the file cannot be opened, or is a directory or another thing without a length.
    pub fn open(path: &Path) -> Result<Arc<Self>, FormatError> {
        let io = |source| FormatError::Io { path: path.to_owned(), doing: "open", source };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(FormatError::NotAFile { path: path.to_owned() });
        }
        Ok(Arc::new(SourceFile { path: path.to_owned(), len: metadata.len(), file }))
    }

    /// A file that is open already, such as a spool of inflated bytes; `path` is what errors name.
    ///
    /// # Errors
    /// Where the file's length cannot be read.
    pub fn from_file(path: &Path, file: File) -> Result<Arc<Self>, FormatError> {
        let io = |source| FormatError::Io { path: path.to_owned(), doing: "read", source };
        let len = file.metadata().map_err(io)?.len();
        Ok(Arc::new(SourceFile { path: path.to_owned(), len, file }))
    }

    /// The path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for moves that the kernel does.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The length in bytes when the file was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the file was empty when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from the bytes at `offset`.
    ///
    /// # Errors
    /// Where reading fails or the file ends before the buffer is full.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), FormatError> {
        self.file.read_exact_at(buffer, offset).map_err(|source| FormatError::Io {
            path: self.path.clone(),
            doing: "read",
            source,
        })
    }
}

/// A range of bytes of an input file.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The file that holds the bytes.
    pub file: Arc<SourceFile>,
    /// Where the range begins, in bytes from the start of the file.
    pub offset: u64,
    /// The length of the range in bytes.
    pub len: u64,
}

impl Extent {
    /// The part of this range that begins `offset` bytes into it and is `len` bytes long.
    ///
    /// Returns `None` where the part is not inside the range.
    pub fn part(&self, offset: u64, len: u64) -> Option<Extent> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| Extent { file: self.file.clone(), offset: self.offset + offset, len })
    }
}

/// A block of bytes that one or several tensors view (torch's storage; one tensor's data in safetensors).
#[derive(Debug)]
pub struct Storage {
    /// Where the bytes are.
    pub extent: Extent,
    /// The CRC-32 that the container records for the whole block, where it does.
    pub crc: Option<u32>,
}

/// A strided view of a storage.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// The dtype and shape.
    pub spec: TensorSpec,
    /// The storage that is viewed; two tensors share storage when this is the same allocation.
    pub storage: Arc<Storage>,
    /// Where element 0 lies, in bytes from the start of the storage.
    pub offset: u64,
    /// The step of each dim in elements. Checked when the file was read: every element that the
    /// shape and strides can reach lies inside the storage.
    pub strides: Vec<u64>,
}

impl StoredTensor {
    /// Whether the elements lie side by side in row-major order (dims of extent 1 may have any stride).
    pub fn is_contiguous(&self) -> bool {
        if self.spec.shape.contains(&0) {
            return true;
        }
        let Some(expected) = contiguous_strides(&self.spec.shape) else { return false };
        let dims = self.spec.shape.iter().zip(&self.strides).zip(&expected);
        dims.into_iter().all(|((&dim, stride), expected)| dim == 1 || stride == expected)
    }

    /// The bytes of the tensor as one range, where it is contiguous.
    pub fn extent(&self) -> Option<Extent> {
        if !self.is_contiguous() {
            return None;
        }
        let len = self.spec.nbytes()?;
        if len == 0 {
            return self.storage.extent.part(0, 0);
        }
        self.storage.extent.part(self.offset, len)
    }
}
