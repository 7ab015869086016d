//! Files and folders under construction, and those that a run left behind which was killed.
//!
//! Whoever makes one holds a lock on it for as long as it has its temporary name. The system lets go of a lock
//! when the process ends, however it does: so one whose lock is free is nobody's, and the next run that writes
//! the same output takes it away. Where the file system has no locks, all are left alone.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempDir};

/// What the names end in.
const SUFFIX: &str = ".migrate-tmp";

/// How many characters stand between prefix and suffix.
const RANDOM: usize = 6;

/// Makes a file with a name of its own in a folder, and takes away those of this prefix that are nobody's.
///
/// # Errors
/// Where the system refuses.
pub(super) fn file(folder: &Path, prefix: &OsStr) -> io::Result<NamedTempFile> {
    sweep(folder, prefix);
    loop {
        // Less the umask, as for any new file.
        let file = names(prefix).permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
        let file = file.map_err(without_name)?;
        if hold(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// Makes a folder as [`file`] makes a file; the open file is what holds the lock.
///
/// # Errors
/// Where the system refuses.
pub(super) fn dir(folder: &Path, prefix: &OsStr) -> io::Result<(TempDir, File)> {
    sweep(folder, prefix);
    loop {
        let dir = names(prefix).permissions(Permissions::from_mode(0o777)).tempdir_in(folder);
        let dir = dir.map_err(without_name)?;
        let file = match File::open(dir.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if hold(&file, dir.path()) {
            return Ok((dir, file));
        }
    }
}

/// Waits for the lock of an open file or folder; where there are no locks, there is nothing to wait for.
pub(super) fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

/// Gives a file or folder its final name, where nothing has that name.
///
/// # Errors
/// Of the kind `AlreadyExists` (`DirectoryNotEmpty`, `NotADirectory` for folders) where something has it, and
/// where the system refuses.
pub(super) fn place(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        renamed => return renamed.map_err(io::Error::from),
    }
    // Not every file system can say so in one step; many have a second name instead, and a few not even that.
    match fs::hard_link(from, to) {
        Ok(()) => {
            // The file is in its place; the name that is left over is nobody's.
            let _ = fs::remove_file(from);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

fn names<'a>(prefix: &'a OsStr) -> tempfile::Builder<'a, 'static> {
    let mut names = tempfile::Builder::new();
    names.prefix(prefix).suffix(SUFFIX).rand_bytes(RANDOM);
    names
}

/// `tempfile` puts its own path into the error; the user knows the output only.
fn without_name(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

/// Locks what was made just now; it may be gone, as another run can have found it before it was locked.
fn hold(file: &File, path: &Path) -> bool {
    lock(file).is_err() || is_at(file, path)
}

/// Whether a path leads to the open file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (_, Err(error)) => error.kind() != io::ErrorKind::NotFound,
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        (Err(_), Ok(_)) => true,
    }
}

/// Takes away what is nobody's. What cannot be is left: it costs space, and no output.
pub(super) fn sweep(folder: &Path, prefix: &OsStr) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_temporary = |name: &[u8]| {
        let middle = name.strip_prefix(prefix.as_encoded_bytes());
        let random = middle.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
    };
    for entry in entries.flatten().filter(|entry| is_temporary(entry.file_name().as_encoded_bytes())) {
        let _ = remove_stale(&entry.path());
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    // Whatever lies there under this name, it is neither followed nor waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = |access| rustix::fs::open(path, flags | access, Mode::empty());
    // Some network file systems lock for writers alone; folders and read-only files are opened for reading.
    let file = File::from(open(OFlags::RDWR).or_else(|_| open(OFlags::RDONLY))?);
    file.try_lock()?;
    // Its owner may have given it its final name meanwhile.
    if !is_at(&file, path) {
        return Ok(());
    }
    if file.metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}
