//! The command line of `migrate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ckpt_migrate::cli::main().into()
}
