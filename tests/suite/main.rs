//! The tests that need the whole program or the whole library: one binary, one module a role.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
mod tensors;
mod cases;
mod command;
mod files;
mod safetensors;
