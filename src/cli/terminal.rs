//! Where a command's text goes.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, render};
use crate::source::Sources;

use super::{Exit, Failure, json_text};

/// How wide text may be where there is no terminal to ask.
const WIDTH: usize = 100;
/// Lines longer than this are hard to read on the widest terminal.
const MAX_WIDTH: usize = 120;

/// Whether there are colours, and how wide text may be.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether diagnostics are coloured.
    pub color: bool,
    /// The width of text in columns.
    pub width: usize,
}

impl Terminal {
    /// What the standard streams are: colours only on a terminal, and not where `NO_COLOR` is set.
    pub fn detect() -> Self {
        let color = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        let columns =
            [rustix::termios::tcgetwinsize(io::stderr()), rustix::termios::tcgetwinsize(io::stdout())];
        let columns =
            columns.into_iter().flatten().map(|size| usize::from(size.ws_col)).find(|&columns| columns > 0);
        Terminal { color, width: columns.unwrap_or(WIDTH).min(MAX_WIDTH) }
    }

    /// No colours, of the default width.
    pub fn plain() -> Self {
        Terminal { color: false, width: WIDTH }
    }

    /// Writes a command's result to standard output.
    ///
    /// # Errors
    /// Where it cannot be written, and not because its reader went away: `migrate inspect x | head`
    /// is done when `head` is.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut stream = anstream::stdout().lock();
        match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let message = format!("cannot write to standard output: {error}");
                Err(Failure::new(Exit::Io, Diagnostic::error("io", message)))
            }
            _ => Ok(()),
        }
    }

    /// Writes a message to standard error; there is nobody to tell if that fails.
    pub fn tell(&self, text: &str) {
        let _ = anstream::stderr().lock().write_all(text.as_bytes());
    }

    /// Writes diagnostics to standard error.
    pub fn show(&self, diagnostics: &[Diagnostic], sources: &Sources) {
        if !diagnostics.is_empty() {
            self.tell(&render(diagnostics, sources, self.color, self.width));
        }
    }

    /// How a command ends: as it says, or with its failure shown (as JSON on standard output, where
    /// that is what the caller reads).
    pub fn end(&self, result: Result<Exit, Failure>, json: bool) -> Exit {
        result.unwrap_or_else(|failure| {
            if json {
                let problems: Vec<Value> = failure
                    .diagnostics
                    .iter()
                    .map(|diagnostic| diagnostic.to_json(&failure.sources))
                    .collect();
                let value = json!({ "problems": problems });
                let _ = self.print(&json_text::pretty(&value));
            }
            self.show(&failure.diagnostics, &failure.sources);
            failure.exit
        })
    }
}
