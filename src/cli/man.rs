//! `migrate man`: the manual pages.

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::diagnostic::Diagnostic;
use crate::keyset::nearest_word;
use crate::printable::printable;

use super::{Cli, Exit, Failure, Terminal};

const EXAMPLES: &str = "\
Examples:
  migrate man | man -l -                        read it
  migrate man plan | man -l -                   the page of `migrate plan`
  migrate man > ~/.local/share/man/man1/migrate.1";

/// Prints the manual page, or that of one command, for `man`
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ManArgs {
    /// The command; without it, the page of the program
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Runs `migrate man`.
pub fn run(args: &ManArgs, terminal: &Terminal) -> Exit {
    let printed = page(args.command.as_deref()).and_then(|text| terminal.print(&text));
    terminal.end(printed.map(|()| Exit::Done), false)
}

/// The page of a command in roff.
fn page(command: Option<&str>) -> Result<String, Failure> {
    let mut program = Cli::command();
    // So that each command knows that it is called `migrate plan` and not `plan`.
    program.build();
    let of = match command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return Err(unknown(name, &program)),
        },
    };
    let mut text = Vec::new();
    Man::new(of).render(&mut text).map_err(|error| {
        let message = format!("cannot make the manual page: {error}");
        Failure::new(Exit::Io, Diagnostic::error("io", message))
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn unknown(name: &str, program: &clap::Command) -> Failure {
    let names = program.get_subcommands().map(clap::Command::get_name);
    let mut diagnostic = Diagnostic::error("usage", format!("there is no command `{}`", printable(name)));
    diagnostic.helps.extend(nearest_word(name, names).map(|nearest| format!("did you mean `{nearest}`?")));
    Failure::new(Exit::Usage, diagnostic)
}
