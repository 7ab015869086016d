#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod budgets;
mod distributed;
mod files;
mod legacy;
mod look;
mod pickles;
mod several;
