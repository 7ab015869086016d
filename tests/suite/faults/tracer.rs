//! Runs the program under `tests/faults/tracer.c`, which makes one of its operations on files fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::command::{Folder, Ran};

/// What befalls an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The program ends before the operation, as by `kill -9`.
    Kill,
    /// Half as much is read or written as was asked for.
    Short,
    /// The error of this number.
    Error(i32),
}

pub const EINTR: Fault = Fault::Error(4);
pub const EIO: Fault = Fault::Error(5);
pub const ENOSPC: Fault = Fault::Error(28);

/// How a run is disturbed.
#[derive(Clone, Copy, Debug)]
pub struct Disturbance {
    pub fault: Fault,
    /// Which operations the fault strikes, counted from 1.
    pub from: usize,
    pub to: usize,
    /// Whether the file system has no hard links, locks, and so on.
    pub poor: bool,
}

/// An operation on a file of the folder.
#[derive(Clone, Debug)]
pub struct Operation {
    pub name: String,
    /// `S` it takes space, `I` a signal may interrupt it, `L` it may do less.
    pub traits: String,
    pub path: String,
    pub struck: bool,
}

impl Operation {
    /// Whether the fault can befall it.
    pub fn is_open_to(&self, fault: Fault) -> bool {
        match fault {
            Fault::Short => self.traits.contains('L'),
            ENOSPC => self.traits.contains('S'),
            EINTR => self.traits.contains('I'),
            _ => true,
        }
    }
}

/// The tracer, compiled once; none where it cannot be: it needs Linux on x86-64, and leave to trace.
pub fn tracer() -> Option<&'static Path> {
    static TRACER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = TRACER.get_or_init(|| {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tracer");
        let source = root.join("tests/faults/tracer.c");
        let made = Command::new("cc").args(["-O1", "-o"]).args([&path, &source]).output().ok()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("log");
        let tried = Command::new(&path).arg(log).args(["none", "0", "0", "0", "/bin/true"]).status().ok()?;
        tried.success().then_some(path)
    });
    made.as_deref()
}

/// The program under test: `MIGRATE_BIN`, or the one that was built with the tests.
pub fn program() -> PathBuf {
    std::env::var_os("MIGRATE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_migrate").into(), PathBuf::from)
}

/// Runs the program in the folder.
pub fn run(folder: &Folder, arguments: &[&str]) -> Ran {
    ended(Command::new(program()).args(arguments), folder)
}

/// Runs the program in the folder, disturbed; gives what it did as well.
pub fn disturbed(folder: &Folder, arguments: &[&str], how: Disturbance) -> (Ran, Vec<Operation>) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let fault = match how.fault {
        Fault::None => "none".to_owned(),
        Fault::Kill => "kill".to_owned(),
        Fault::Short => "short".to_owned(),
        Fault::Error(number) => number.to_string(),
    };
    let mut command = Command::new(tracer().unwrap());
    command.arg(log.path()).arg(fault).args([how.from, how.to, usize::from(how.poor)].map(|n| n.to_string()));
    let ran = ended(command.arg(program()).args(arguments), folder);
    assert_ne!(ran.exit, 99, "{}", ran.stderr);
    let log = std::fs::read_to_string(log.path()).unwrap();
    (ran, log.lines().map(operation).collect())
}

fn operation(line: &str) -> Operation {
    let [_, name, traits, path, struck] = line.split('\t').collect::<Vec<_>>()[..] else {
        panic!("{line}");
    };
    Operation {
        name: name.to_owned(),
        traits: traits.to_owned(),
        path: path.to_owned(),
        struck: struck == "!",
    }
}

fn ended(command: &mut Command, folder: &Folder) -> Ran {
    let output = command.current_dir(folder.path("")).env("NO_COLOR", "1").output().unwrap();
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
