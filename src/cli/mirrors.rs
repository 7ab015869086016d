//! Further dicts of a checkpoint that mirror the one which the rules run over, and follow it.

use crate::diagnostic::Diagnostic;
use crate::formats::{Checkpoint, Limits};
use crate::plan::{Mirrored, Plan, mirrored};

use super::Failure;
use super::inputs::open_all;
use super::named::Named;
use super::target::tied_keys;

/// A checkpoint opened anew with the dicts that follow behind the others, and what is done to them.
pub(super) struct Mirrors {
    pub checkpoint: Checkpoint,
    pub plans: Vec<Plan>,
    /// Dicts that look like mirrors and cannot follow.
    pub warnings: Vec<Diagnostic>,
}

/// Finds what follows the plan of the first dict.
///
/// # Errors
/// Where the inputs cannot be read again.
pub(super) fn follow(
    inputs: &[Named],
    checkpoint: Checkpoint,
    plan: &Plan,
    limits: &Limits,
) -> Result<Mirrors, Failure> {
    let mut warnings = Vec::new();
    if checkpoint.further_dicts.is_empty() {
        return Ok(Mirrors { checkpoint, plans: Vec::new(), warnings });
    }
    let ruled: Vec<String> = checkpoint.dicts.iter().map(|dict| dict.at.name()).collect();
    let open = |further: &[String]| {
        let names = ruled.iter().chain(further).map(String::as_str);
        open_all(inputs, &names.collect::<Vec<&str>>(), limits)
    };
    let further: Vec<String> = checkpoint.further_dicts.iter().map(|dict| dict.name()).collect();
    let all = open(&further)?;
    let main = checkpoint.main_dict().at.name();
    let (mut names, mut plans) = (Vec::new(), Vec::new());
    for (name, dict) in further.into_iter().zip(all.dicts.iter().skip(ruled.len())) {
        match mirrored(plan, &main, tied_keys(&all, dict), &name) {
            Mirrored::Follows(plan) => {
                names.push(name);
                plans.push(*plan);
            }
            Mirrored::Nearly(problem) => warnings.push(problem.warning()),
            Mirrored::Unrelated => {}
        }
    }
    let checkpoint = if names.is_empty() { checkpoint } else { open(&names)? };
    Ok(Mirrors { checkpoint, plans, warnings })
}
