//! The progress bar: only for long work, only on a terminal.

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::formats::Progress;

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(700);

/// Shows how much of the output is written.
pub(super) struct Bar {
    total: u64,
    done: AtomicU64,
    start: Instant,
    hidden: bool,
    shown: OnceLock<ProgressBar>,
}

impl Bar {
    /// A bar for `total` bytes.
    pub fn new(total: u64, hidden: bool) -> Self {
        let hidden = hidden || !std::io::stderr().is_terminal();
        Bar { total, done: AtomicU64::new(0), start: Instant::now(), hidden, shown: OnceLock::new() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = self.shown.get() {
            bar.finish_and_clear();
        }
    }

    /// Lets something else be written to the terminal, above the bar.
    pub fn above(&self, write: impl FnOnce()) {
        match self.shown.get() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn show(&self) -> ProgressBar {
        let bar = ProgressBar::new(self.total);
        let template = "{bar:32} {bytes} of {total_bytes}  {binary_bytes_per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

impl Progress for Bar {
    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.hidden && self.start.elapsed() >= PATIENCE {
            self.shown.get_or_init(|| self.show()).set_position(done.min(self.total));
        }
    }
}
