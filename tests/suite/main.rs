//! Tests of the program as its users meet it.

mod docs;
mod readme;
