//! `--in-place --backup .bak`: what becomes of the old file, and of what a file is besides its bytes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::command::{Folder, Ran};

const OLD: &str = "old.safetensors";
const BACKUP: &str = "old.safetensors.bak";
const NOBODY: u32 = 65534;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("r.rules", "rename a.* -> b.*\n").tensors(OLD, "a.w f32 [2, 3]\nother f32 [2]\n");
    folder
}

const ARGUMENTS: [&str; 7] = ["--rules", "r.rules", "--no-target", OLD, "--in-place", "--backup", ".bak"];

fn migrate(folder: &Folder) -> Ran {
    folder.run(&ARGUMENTS)
}

fn done(folder: &Folder) {
    let ran = migrate(folder);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    assert_eq!(folder.tensors_of(OLD)[0].key, "b.w");
}

fn metadata(folder: &Folder, name: &str) -> fs::Metadata {
    fs::symlink_metadata(folder.path(name)).unwrap()
}

fn set_mode(folder: &Folder, name: &str, mode: u32) {
    fs::set_permissions(folder.path(name), Permissions::from_mode(mode)).unwrap();
}

/// Whether the tests run as root, who may give files away and is refused nothing.
fn is_root(folder: &Folder) -> bool {
    metadata(folder, OLD).uid() == 0
}

#[test]
fn other_hard_links_keep_the_old_bytes() {
    let folder = folder();
    let before = folder.read(OLD);
    fs::hard_link(folder.path(OLD), folder.path("other.safetensors")).unwrap();
    done(&folder);
    assert_eq!(folder.read("other.safetensors"), before);
    assert_eq!(metadata(&folder, "other.safetensors").ino(), metadata(&folder, BACKUP).ino());
}

#[test]
fn a_link_is_refused_and_says_to_name_the_file() {
    let folder = folder();
    fs::rename(folder.path(OLD), folder.path("epoch.safetensors")).unwrap();
    symlink("epoch.safetensors", folder.path(OLD)).unwrap();
    let before = folder.read(OLD);
    let ran = migrate(&folder);
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("`old.safetensors` is a link to `epoch.safetensors`"), "{}", ran.stderr);
    assert_eq!((folder.read(OLD), folder.has(BACKUP)), (before, false));
    assert!(metadata(&folder, OLD).is_symlink());
}

#[test]
fn a_link_that_is_an_output_is_replaced_and_its_file_is_left_alone() {
    let folder = folder();
    folder.write("elsewhere", "precious");
    symlink("elsewhere", folder.path("new.safetensors")).unwrap();
    let to = ["--rules", "r.rules", "--no-target", OLD, "-o", "new.safetensors"];
    assert_eq!(folder.run(&to).exit, 2);
    assert_eq!(folder.run(&[&to[..], &["--force"]].concat()).exit, 0);
    assert!(metadata(&folder, "new.safetensors").is_file());
    assert_eq!(folder.read("elsewhere"), b"precious");
}

#[test]
fn the_mode_stays_also_that_of_a_read_only_file() {
    for mode in [0o600, 0o640, 0o444, 0o664] {
        let folder = folder();
        set_mode(&folder, OLD, mode);
        done(&folder);
        assert_eq!(metadata(&folder, OLD).mode() & 0o777, mode, "{mode:o}");
        assert_eq!(metadata(&folder, BACKUP).mode() & 0o777, mode, "{mode:o}");
    }
}

#[test]
fn root_leaves_the_file_its_owner() {
    let folder = folder();
    if !is_root(&folder) {
        return;
    }
    chown(folder.path(OLD), Some(NOBODY), Some(NOBODY)).unwrap();
    done(&folder);
    for name in [OLD, BACKUP] {
        assert_eq!((metadata(&folder, name).uid(), metadata(&folder, name).gid()), (NOBODY, NOBODY));
    }
}

/// Runs the program as nobody, as the tests may be root's; not, where nobody may run it.
fn as_nobody(folder: &Folder) -> Option<Ran> {
    let program = folder.path("migrate");
    fs::copy(env!("CARGO_BIN_EXE_migrate"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(ARGUMENTS).current_dir(folder.path("")).env("NO_COLOR", "1");
    let output = command.uid(NOBODY).gid(NOBODY).output().ok()?;
    fs::remove_file(program).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some(Ran { exit: output.status.code()?, stdout: text(output.stdout), stderr: text(output.stderr) })
}

#[test]
fn a_group_that_cannot_be_kept_gives_nobody_else_its_rights() {
    let folder = folder();
    if !is_root(&folder) {
        return;
    }
    set_mode(&folder, "", 0o777);
    set_mode(&folder, OLD, 0o664);
    let before = folder.read(OLD);
    let Some(ran) = as_nobody(&folder) else { return };
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let new = metadata(&folder, OLD);
    assert_eq!((new.uid(), new.mode() & 0o777), (NOBODY, 0o644));
    // Some systems let only owners make second names, and the backup is a copy.
    assert_eq!(folder.read(BACKUP), before);
}

#[test]
fn in_a_read_only_folder_nothing_happens() {
    let folder = folder();
    if !is_root(&folder) {
        return;
    }
    set_mode(&folder, "", 0o755);
    let before = (folder.read(OLD), folder.names());
    let Some(ran) = as_nobody(&folder) else { return };
    assert_eq!(ran.exit, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot write `old.safetensors.bak`"), "{}", ran.stderr);
    assert_eq!((folder.read(OLD), folder.names()), before);
}

#[test]
fn a_sparse_file_is_kept_as_it_is_and_its_tensors_are_written_out() {
    let folder = folder();
    let old = folder.read(OLD);
    let header = r#"{"a.w":{"dtype":"U8","shape":[8388608],"data_offsets":[0,8388608]}}"#;
    let file = File::create(folder.path(OLD)).unwrap();
    let start = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    std::io::Write::write_all(&mut &file, &start).unwrap();
    file.set_len(start.len() as u64 + (8 << 20)).unwrap();
    drop((file, old));
    let before = (metadata(&folder, OLD).ino(), metadata(&folder, OLD).blocks());
    done(&folder);
    assert_eq!((metadata(&folder, BACKUP).ino(), metadata(&folder, BACKUP).blocks()), before);
    assert!(folder.read(OLD).ends_with(&vec![0; 8 << 20]));
}

#[test]
fn extended_attributes_stay_with_the_old_bytes() {
    let folder = folder();
    let name = "user.sha256";
    if setxattr(folder.path(OLD), name, b"of the old bytes", XattrFlags::empty()).is_err() {
        return;
    }
    done(&folder);
    let mut value = [0; 64];
    assert!(getxattr(folder.path(OLD), name, &mut value).is_err());
    assert_eq!(getxattr(folder.path(BACKUP), name, &mut value), Ok(16));
}

/// An access list in the kernel's form: version 2, then tag, rights and number of each entry.
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entry = |&(tag, rights, id): &(u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2_u32.to_le_bytes().to_vec(), entries.iter().flat_map(entry).collect()].concat()
}

#[test]
fn the_access_list_stays_and_none_comes_from_the_folder() {
    const NONE: u32 = u32::MAX;
    let list = access_list(&[(1, 6, NONE), (2, 4, NOBODY), (4, 0, NONE), (16, 4, NONE), (32, 0, NONE)]);
    let (own, default) = ("system.posix_acl_access", "system.posix_acl_default");
    let mut value = [0; 256];
    let folder = folder();
    if setxattr(folder.path(OLD), own, &list, XattrFlags::empty()).is_err() {
        return;
    }
    done(&folder);
    assert_eq!(getxattr(folder.path(OLD), own, &mut value), Ok(list.len()));
    assert_eq!(value[..list.len()], list);

    let folder = self::folder();
    setxattr(folder.path(""), default, &list, XattrFlags::empty()).unwrap();
    done(&folder);
    assert!(getxattr(folder.path(OLD), own, &mut value).is_err());
}

#[test]
fn a_second_name_that_a_killed_run_made_will_do_as_the_backup() {
    let folder = folder();
    let before = folder.read(OLD);
    fs::hard_link(folder.path(OLD), folder.path(BACKUP)).unwrap();
    done(&folder);
    assert_eq!(folder.read(BACKUP), before);
    // A link that leads to the input is no copy of it.
    let folder = self::folder();
    symlink(OLD, folder.path(BACKUP)).unwrap();
    assert_eq!(migrate(&folder).exit, 2);
}

#[test]
fn what_another_run_replaces_is_left_to_it() {
    let folder = folder();
    let before = folder.names();
    let held = File::open(folder.path(OLD)).unwrap();
    held.lock().unwrap();
    let ran = migrate(&folder);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("error[busy]: another run is replacing `old.safetensors`"), "{}", ran.stderr);
    assert_eq!(folder.names(), before);
}

#[test]
fn leftovers_go_and_what_a_live_run_writes_stays() {
    let folder = folder();
    let (stale, live) = (".old.safetensors.AAAAAA.migrate-tmp", ".old.safetensors.BBBBBB.migrate-tmp");
    let others = [".other.safetensors.AAAAAA.migrate-tmp", ".old.safetensors.AAAAAA.migrate-tmp.txt"];
    folder.write(stale, "").write(live, "");
    for name in others {
        folder.write(name, "");
    }
    symlink(OLD, folder.path(".old.safetensors.CCCCCC.migrate-tmp")).unwrap();
    let held = File::open(folder.path(live)).unwrap();
    held.lock().unwrap();
    done(&folder);
    assert!(!folder.has(stale) && folder.has(live) && others.iter().all(|name| folder.has(name)));
    assert!(folder.has(".old.safetensors.CCCCCC.migrate-tmp"), "no run makes links");
}
