//! Who may read and write a file that takes the place of another one.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Gid, Uid, XattrFlags, fchown, fremovexattr, fsetxattr, getxattr};
use rustix::io::Errno;

/// Where Linux keeps the list of further people.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// A list is longer only if it names thousands of people.
const LONGEST_LIST: usize = 64 << 10;

/// Gives a file the owner, group, mode and access list of the one at `path`, as far as the system allows. What
/// cannot be had is left narrower, never wider.
///
/// # Errors
/// Where the file at `path` cannot be looked at, or the mode cannot be set.
pub(super) fn take_over(file: &File, path: &Path) -> io::Result<()> {
    let old = path.metadata()?;
    let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
    // Only root gives files away; a group of one's own goes without.
    let same_group = fchown(file, Some(owner), Some(group)).or_else(|_| fchown(file, None, Some(group)));
    let mut mode = old.mode() & 0o777;
    let same_people = same_group.is_ok() && take_over_list(file, path);
    if !same_people {
        // The group's rights would go to another group, or past the list: it gets what everyone has.
        mode &= 0o707 | (mode & 0o007) << 3;
    }
    // A file system without modes has the same for all, and does not let them be set.
    if file.metadata()?.mode() & 0o777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Returns whether the file has the list of the one at `path`, be it none.
fn take_over_list(file: &File, path: &Path) -> bool {
    let mut list = vec![0; LONGEST_LIST];
    let taken = match getxattr(path, ACCESS_LIST, &mut list) {
        Ok(length) => {
            list.truncate(length);
            fsetxattr(file, ACCESS_LIST, &list, XattrFlags::empty())
        }
        // The new file may have one from its folder.
        Err(Errno::NODATA) => fremovexattr(file, ACCESS_LIST),
        Err(error) => Err(error),
    };
    matches!(taken, Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS))
}
