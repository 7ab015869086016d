#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod beside;
mod budgets;
mod distributed;
mod files;
mod hostile_zip;
mod hostile_zip_end;
mod legacy;
mod literals;
mod look;
mod meanings;
mod pickles;
mod several;
mod storages;
mod values;
mod zip_bytes;
