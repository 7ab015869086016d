//! The tests that need the whole program or the whole library: one binary, one module a role.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod beginning;
mod cases;
mod chains;
mod command;
mod damage;
mod docs;
mod faults;
mod files;
mod fmt;
mod in_place;
mod inverse;
mod load_errors;
mod many;
mod picture;
mod pipeline;
mod properties;
mod readme;
mod reference;
mod rulesets;
mod safetensors;
mod several;
mod sharded;
mod shells;
mod snapshots;
mod stats;
mod strangers;
mod supply;
mod tensors;
mod testing;
mod verifying;
