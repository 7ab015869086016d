//! The command line: one file a command.

use std::path::Path;

use clap::{CommandFactory, Parser, Subcommand};

use crate::diagnostic::Diagnostic;
use crate::keyset::nearest_word;
use crate::printable::printable;

mod backup;
mod bar;
mod beside;
mod carry;
mod chain;
mod chained;
pub mod check;
pub mod completions;
mod config;
pub mod diff;
mod done;
mod exit;
pub mod explain;
mod failure;
pub mod finish;
pub mod fmt;
mod fresh;
pub mod init;
mod inputs;
pub mod inspect;
pub mod invert;
mod json_text;
mod keyed;
pub mod keys;
pub mod limits;
mod load_error;
pub mod man;
mod many;
mod many_told;
pub mod migrate;
mod mirrors;
mod named;
pub mod new_version;
mod out_dir;
mod part;
mod picture;
mod place;
pub mod plan;
mod plan_args;
mod prepare;
mod prove;
mod record;
mod rule_file;
mod stats;
pub mod status;
pub mod target;
mod terminal;
pub mod test;
mod towards;
pub mod verify;

pub use exit::Exit;
pub use failure::Failure;
pub use terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  migrate --rules v1_to_v2.rules old.ckpt -o new.ckpt     towards v2.keys.yaml beside the rules
  migrate --rules fix.rules old.pt -o new.safetensors --target model.safetensors --weights-only
  migrate plan --rules v1_to_v2.rules old.ckpt            what it would do, and what is not proved
  migrate --rules v1_to_v2.rules old.ckpt --in-place --backup .bak
  migrate --rules tp.rules r0=mp_00.pth r1=mp_01.pth -o whole.pth --no-target
  migrate --rules migrations/ old.ckpt -o new.ckpt        from the version that it is to the last
  migrate init model.ckpt                                 begins a folder of migrations
  migrate new v2 --from new.ckpt                          its next version, and what has changed
  migrate --rules migrations/ --out-dir out/ runs/*.ckpt  each of several checkpoints by itself
  migrate --rules r.rules old/ -o new/ --shard 2/8        one of eight jobs, on any machine
  migrate finish new/                                     when all of them are done
  migrate check migrations/                               proves a folder of rule files, in CI
  migrate status --rules migrations/ runs/*.ckpt          which version each is
  migrate keys model.ckpt -o v2.keys.yaml                 the keys that a version has
  migrate diff old.ckpt v2.keys.yaml                      missing and unexpected keys
  migrate inspect old.ckpt                                what is in the file
  migrate fmt rules/                                      the canonical text of rule files
  migrate invert v1_to_v2.rules -o v2_to_v1.rules         the rules that lead back
  migrate explain v1_to_v2.rules old.ckpt KEY             through which statements a key went

Exit codes: 0 done or nothing to do; 1 differences and failed checks; 2 wrong usage, and rule files \
that do not parse; 3 unreadable or damaged input, and failed input or output";

/// Migrates model checkpoints by declarative rules.
///
/// A rule file says which keys moved when a model's code was refactored. The plan is proved against the
/// keys of the checkpoint and of the new model before a byte is written; no pickle is ever executed.
#[derive(Debug, Parser)]
#[command(name = "migrate", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    migrate: migrate::MigrateArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::ShowArgs),
    Inspect(inspect::InspectArgs),
    Keys(keys::KeysArgs),
    Diff(diff::DiffArgs),
    Fmt(fmt::FmtArgs),
    Explain(explain::ExplainArgs),
    Invert(invert::InvertArgs),
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Init(init::InitArgs),
    New(new_version::NewArgs),
    Status(status::StatusArgs),
    Verify(verify::VerifyArgs),
    Finish(finish::FinishArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs what the command line asks for.
pub fn main() -> Exit {
    let terminal = Terminal::detect();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A misspelt command would be taken for the input, and the message would speak of something else.
        Err(error) => match misspelt_command() {
            Some(failure) if error.use_stderr() => return terminal.end(Err(failure), false),
            _ => error.exit(),
        },
    };
    match cli.command {
        None => migrate::run(&cli.migrate, &terminal),
        Some(Command::Plan(args)) => plan::run(&args, &terminal),
        Some(Command::Inspect(args)) => inspect::run(&args, &terminal),
        Some(Command::Keys(args)) => keys::run(&args, &terminal),
        Some(Command::Diff(args)) => diff::run(&args, &terminal),
        Some(Command::Fmt(args)) => fmt::run(&args, &terminal),
        Some(Command::Explain(args)) => explain::run(&args, &terminal),
        Some(Command::Invert(args)) => invert::run(&args, &terminal),
        Some(Command::Check(args)) => check::run(&args, &terminal),
        Some(Command::Test(args)) => test::run(&args, &terminal),
        Some(Command::Init(args)) => init::run(&args, &terminal),
        Some(Command::New(args)) => new_version::run(&args, &terminal),
        Some(Command::Status(args)) => status::run(&args, &terminal),
        Some(Command::Verify(args)) => verify::run(&args, &terminal),
        Some(Command::Finish(args)) => finish::run(&args, &terminal),
        Some(Command::Completions(args)) => completions::run(&args, &terminal),
        Some(Command::Man(args)) => man::run(&args, &terminal),
    }
}

/// A first argument that is no file but is like a command.
fn misspelt_command() -> Option<Failure> {
    let word = std::env::args_os().nth(1)?.into_string().ok()?;
    let commands = Cli::command();
    let names = || commands.get_subcommands().map(clap::Command::get_name);
    if names().any(|name| name == word) || Path::new(&word).exists() {
        return None;
    }
    let nearest = nearest_word(&word, names())?;
    let message = format!("there is no command `{}`", printable(&word));
    let diagnostic = Diagnostic::error("usage", message).help(format!("did you mean `{nearest}`?"));
    Some(Failure::new(Exit::Usage, diagnostic))
}
