//! The README says what the program does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
