//! What must hold for all rules and all tensors.

mod chains;
mod generate;
mod inverses;
mod matcher;
mod printing;
mod round_trips;
mod texts;
