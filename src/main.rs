//! The command line of `migrate`.

fn main() {}
