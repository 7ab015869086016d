//! `migrate init`: a folder of migrations for a project that has none.

mod repository;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::formats::keys_yaml;
use crate::printable::printable;

use super::fresh::{Fresh, refuse_existing, write_all};
use super::limits::LimitArgs;
use super::target::load_keyset;
use super::{Exit, Failure, Terminal, test};
use repository::Repository;

/// The version that a project starts with.
const FIRST: &str = "v1";
const EXAMPLE: &str = include_str!("example.rules");
const ARGS: &str = include_str!("args");
const WORKFLOW: &str = include_str!("workflow.yml");
const HOOK: &str = include_str!("pre-commit");

const EXAMPLES: &str = "\
Examples:
  migrate init model.ckpt                       makes migrations/ with v1.keys.yaml
  migrate init model.ckpt --dir models/unet/migrations

What it makes:
  v1.keys.yaml                       the keys of the model as it is now
  example.rules                      how rule files look, as comments
  tests/v1/                          a first case for `migrate test`
  pre-commit                         a hook for git, to be turned on by whoever wants it
  .github/workflows/migrations.yml   runs `migrate check` and `migrate test` on GitHub, at the root
                                     of the repository that holds the folder

Exit codes: 0 done; 2 where any of these is there already, and then nothing is written; 3 where a file \
cannot be read or written";

/// Makes a folder of migrations, with the keys of a checkpoint as its first version
///
/// Nothing is ever replaced.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// A checkpoint of the model as it is now, be it untrained, or its .keys.yaml
    #[arg(value_name = "CKPT")]
    checkpoint: PathBuf,
    /// The folder to make
    #[arg(long, value_name = "DIR", default_value = "migrations")]
    dir: PathBuf,
    /// Which dict of tensors, where the file holds several, such as state_dict
    #[arg(long, value_name = "PATH")]
    at: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Runs `migrate init`.
pub fn run(args: &InitArgs, terminal: &Terminal) -> Exit {
    terminal.end(work(args, terminal), false)
}

fn work(args: &InitArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut keys = load_keyset(&args.checkpoint, args.at.as_deref(), &args.limits.limits())?;
    keys.name = Some(FIRST.to_owned());
    let dir = &args.dir;
    let repository = Repository::around(dir)?;
    let workflow = repository.workflow();
    let filled = |text: &str| {
        let values = [
            ("@HOOK@", repository.shell("/pre-commit")),
            ("@FOLDER@", repository.shell("")),
            ("@RUST@", env!("CARGO_PKG_RUST_VERSION").to_owned()),
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    };
    let case = dir.join("tests").join(FIRST);
    let files = [
        Fresh::text(dir.join(format!("{FIRST}.keys.yaml")), keys_yaml::emit(&keys)),
        Fresh::text(dir.join("example.rules"), EXAMPLE),
        Fresh::text(case.join("args"), ARGS),
        Fresh { runs: true, ..Fresh::text(dir.join("pre-commit"), filled(HOOK)) },
        Fresh::text(workflow, filled(WORKFLOW)),
    ];
    let expected = case.join("plan.txt");
    let migrations = migrations_in(dir);
    let all = files.iter().map(|file| &file.path).chain([&expected]);
    let others = migrations.iter().filter(|path| files.iter().all(|file| file.path != **path));
    refuse_existing(all.chain(others).map(PathBuf::as_path))?;
    write_all(&files)?;
    for file in &files {
        terminal.tell(&format!("wrote {}\n", shown(&file.path)));
    }
    test::take_over(dir, FIRST, terminal)?;
    let (own, flag) = match dir == Path::new("migrations") {
        true => (String::new(), String::new()),
        false => (format!(" {}", shown(dir)), format!(" --dir {}", shown(dir))),
    };
    terminal.tell(&format!(
        "\nnext: commit these. `migrate check {}` and `migrate test{own}` prove them, here and in CI.\n\
         When the model's code has changed: `migrate new v2 --from CKPT{flag}`, from a checkpoint of the new code.\n",
        shown(dir),
    ));
    Ok(Exit::Done)
}

/// Rule files and key sets that a folder holds: it has a first version already.
fn migrations_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".keys.yaml") || name.ends_with(".rules")
    };
    let mut found: Vec<PathBuf> = paths.filter(ours).collect();
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}
