//! The command line: one file a command.

use clap::{Parser, Subcommand};

pub mod diff;
mod exit;
mod failure;
pub mod inspect;
pub mod keys;
pub mod target;
mod terminal;

pub use exit::Exit;
pub use failure::Failure;
pub use terminal::Terminal;

/// Migrates model checkpoints by declarative rules.
#[derive(Debug, Parser)]
#[command(name = "migrate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keys(keys::KeysArgs),
    Inspect(inspect::InspectArgs),
    Diff(diff::DiffArgs),
}

/// Runs what the command line asks for.
pub fn main() -> Exit {
    let terminal = Terminal::detect();
    match Cli::parse().command {
        Command::Keys(args) => keys::run(&args, &terminal),
        Command::Inspect(args) => inspect::run(&args, &terminal),
        Command::Diff(args) => diff::run(&args, &terminal),
    }
}
