//! `migrate completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, Terminal};

const EXAMPLES: &str = "\
Examples:
  migrate completions bash > ~/.local/share/bash-completion/completions/migrate
  migrate completions zsh > ~/.zfunc/_migrate            with ~/.zfunc in fpath
  migrate completions fish > ~/.config/fish/completions/migrate.fish";

/// Prints what a shell needs to complete commands, options and file names
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Runs `migrate completions`.
pub fn run(args: &CompletionsArgs, terminal: &Terminal) -> Exit {
    // Into memory first: the generator cannot be told that its reader went away.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "migrate", &mut text);
    terminal.end(terminal.print(&String::from_utf8_lossy(&text)).map(|()| Exit::Done), false)
}
