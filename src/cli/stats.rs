//! Where the time of a migration went, and how its bytes came into the output.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apply::Report;
use crate::formats::Moved;
use crate::quantity::size;

/// What `--stats` tells of a migration.
pub(super) struct Stats {
    /// Until the headers of the inputs were read.
    pub open: Duration,
    /// Until the plan was proved.
    pub plan: Duration,
    /// Until the bytes were in place; with shards, also until they were on the disk.
    pub moving: Duration,
    /// Until bytes and names were on the disk.
    pub sync: Duration,
    moved: Moved,
}

impl Stats {
    /// The figures of a run whose outputs are these.
    pub fn new(open: Duration, plan: Duration, reports: &[Report]) -> Stats {
        let mut moved = Moved::default();
        reports.iter().for_each(|report| moved += report.written.moved);
        let moving = reports.iter().map(|report| report.moving).sum();
        let sync = reports.iter().map(|report| report.placing).sum();
        Stats { open, plan, moving, sync, moved }
    }

    /// The figures for machines: seconds and bytes.
    pub fn json(&self) -> Value {
        json!({
            "seconds": {
                "open": self.open.as_secs_f64(),
                "plan": self.plan.as_secs_f64(),
                "move": self.moving.as_secs_f64(),
                "sync": self.sync.as_secs_f64(),
            },
            "bytes": {
                "shared": self.moved.shared,
                "copied": self.moved.copied,
                "computed": self.moved.computed,
            },
        })
    }

    /// The figures for people.
    pub fn text(&self) -> String {
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
        format!(
            "time: open {}, plan {}, move {}, sync {}\nbytes: {} shared by the file system, {} copied, {} computed\n",
            seconds(self.open),
            seconds(self.plan),
            seconds(self.moving),
            seconds(self.sync),
            size(self.moved.shared),
            size(self.moved.copied),
            size(self.moved.computed),
        )
    }
}
