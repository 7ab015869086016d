//! Whether a file holds what a plan makes: every tensor is compared byte for byte, in bounded pieces.

use std::collections::{HashMap, HashSet};

use super::cast;
use super::digest::is_opaque;
use super::error::ApplyError;
use super::pieces::first_difference;
use super::stream::Stream;
use super::{assertion, optimizers};
use crate::formats::{Checkpoint, Entry, EntryData, Optimizer, Produce, Progress, StateDict, StateValue};
use crate::optimizer::{Followed, State};
use crate::plan::Plan;
use crate::tensor::{Dtype, TensorSpec};

/// Where a file is not what a plan makes.
#[derive(Clone, Debug, PartialEq)]
pub enum Deviation {
    /// The plan makes it and the file does not have it.
    Missing {
        /// The key.
        key: String,
    },
    /// The file has it and the plan does not make it.
    Unexpected {
        /// The key.
        key: String,
    },
    /// It is of another dtype or shape.
    Spec {
        /// The key.
        key: String,
        /// What the file has.
        found: TensorSpec,
        /// What the plan makes.
        wanted: TensorSpec,
    },
    /// It holds other elements.
    Element {
        /// The key.
        key: String,
        /// Where the first of them is, an index for each dim.
        place: Vec<u64>,
        /// What the file has there.
        found: String,
        /// What the plan makes.
        wanted: String,
    },
}

/// What a comparison came to.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// How many tensors are as the plan makes them.
    pub same: usize,
    /// How many entries cannot be looked into.
    pub opaque: usize,
    /// Where the file is another one, in the plan's order.
    pub deviations: Vec<Deviation>,
}

/// Compares a dict of a file with what a plan makes of its source's.
///
/// # Errors
/// Where a value of the source is not as a rule says, and where reading fails.
pub fn verify(
    plan: &Plan,
    source: &StateDict,
    found: &StateDict,
    progress: &dyn Progress,
) -> Result<Verified, ApplyError> {
    assertion::check(plan, source)?;
    let mut verified = Verified::default();
    let entries: HashMap<&str, usize> =
        found.entries.iter().enumerate().map(|(index, entry)| (&*entry.key, index)).collect();
    for output in plan.outputs() {
        let key = output.key.to_string();
        let Some(&index) = entries.get(key.as_str()) else {
            // A safetensors file leaves out what the model ties itself.
            if !output.tied {
                verified.deviations.push(Deviation::Missing { key });
            }
            continue;
        };
        let Some(entry) = found.entries.get(index) else { continue };
        let wanted = plan.arena().spec(output.expr);
        let opaque = matches!(entry.data, EntryData::Opaque { .. });
        if opaque != is_opaque(plan, output.expr, source) || entry.spec() != wanted {
            let (found, wanted) = (entry.spec().clone(), wanted.clone());
            verified.deviations.push(Deviation::Spec { key, found, wanted });
        } else if opaque {
            verified.opaque += 1;
        } else {
            let wanted = Stream::new(plan.arena(), output.expr, &key, source)?;
            let found = Stream::stored(index, &key, found)?;
            verified.compare(&wanted, &found, progress)?;
        }
    }
    let made: HashSet<&str> = plan.outputs().iter().map(|output| &*output.key).collect();
    let more = found.entries.iter().filter(|entry| !made.contains(&*entry.key));
    verified.deviations.extend(more.map(|entry| Deviation::Unexpected { key: entry.key.to_string() }));
    Ok(verified)
}

/// Compares the state of a file's optimizers with what becomes of its source's.
///
/// # Errors
/// Where step counts that must be equal are not, and where reading fails.
pub fn verify_optimizers(
    source: &Checkpoint,
    followed: &[Followed],
    found: &Checkpoint,
    progress: &dyn Progress,
) -> Result<Verified, ApplyError> {
    optimizers::check(followed)?;
    let mut verified = Verified::default();
    let mut others = found.optimizers.iter();
    for (index, old) in source.optimizers.iter().enumerate() {
        if matches!(followed.get(index), Some(Followed::Dropped)) {
            continue;
        }
        let Some(new) = others.next() else {
            verified.deviations.push(Deviation::Missing { key: old.path.clone() });
            continue;
        };
        match followed.get(index) {
            Some(Followed::Groups(groups)) => {
                let params = groups.iter().enumerate().flat_map(|(group, params)| {
                    params.iter().enumerate().map(move |(number, param)| (group, number, param))
                });
                for (group, number, param) in params {
                    let id = new.groups.get(group).and_then(|group| group.params.get(number));
                    let values = id.and_then(|id| new.states.get(id)).map_or(&[][..], Vec::as_slice);
                    verified.state(&param.key, (old, &param.state), values, progress)?;
                }
            }
            _ => {
                for (id, values) in &old.states {
                    let found = new.states.get(id).map_or(&[][..], Vec::as_slice);
                    verified.values(&format!("{} {id}", old.path), values, found, progress)?;
                }
            }
        }
    }
    verified.deviations.extend(others.map(|more| Deviation::Unexpected { key: more.path.clone() }));
    Ok(verified)
}

impl Verified {
    /// Adds what another comparison came to.
    pub fn add(&mut self, other: Verified) {
        self.same += other.same;
        self.opaque += other.opaque;
        self.deviations.extend(other.deviations);
    }

    /// Compares the state of one parameter.
    fn state(
        &mut self,
        key: &str,
        (old, state): (&Optimizer, &State),
        found: &[StateValue],
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        match state {
            State::Empty => {
                let more = found.iter().map(|value| format!("{} of {key}", value.name));
                self.deviations.extend(more.map(|key| Deviation::Unexpected { key }));
            }
            State::Kept(id) => {
                let wanted = old.states.get(id).map_or(&[][..], Vec::as_slice);
                self.values(key, wanted, found, progress)?;
            }
            State::Made { tensors, .. } => {
                for made in tensors {
                    let name = format!("{} of {key}", made.name);
                    let wanted = Stream::new(&made.arena, made.expr, &name, &made.source)?;
                    self.value(&wanted, &made.name, found, progress)?;
                }
            }
        }
        Ok(())
    }

    /// Compares the values of one parameter's state with those that stay as they are.
    fn values(
        &mut self,
        key: &str,
        wanted: &[StateValue],
        found: &[StateValue],
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        for value in wanted {
            let name = format!("{} of {key}", value.name);
            match stream(value, &name)? {
                Some(wanted) => self.value(&wanted, &value.name, found, progress)?,
                None => self.opaque += 1,
            }
        }
        Ok(())
    }

    /// Compares one tensor of a state with that of its name.
    fn value(
        &mut self,
        wanted: &Stream,
        name: &str,
        found: &[StateValue],
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        let key = wanted.key().to_owned();
        let value = found.iter().find(|value| value.name == name);
        let stream = value.map(|value| stream(value, &key)).transpose()?.flatten();
        match stream {
            None => self.deviations.push(Deviation::Missing { key }),
            Some(found) if found.spec() != wanted.spec() => {
                let (found, wanted) = (found.spec().clone(), wanted.spec().clone());
                self.deviations.push(Deviation::Spec { key, found, wanted });
            }
            Some(found) => self.compare(wanted, &found, progress)?,
        }
        Ok(())
    }

    /// Compares two tensors of one spec.
    fn compare(
        &mut self,
        wanted: &Stream,
        found: &Stream,
        progress: &dyn Progress,
    ) -> Result<(), ApplyError> {
        let Some(first) = first_difference(wanted, found, progress)? else {
            self.same += 1;
            return Ok(());
        };
        let (key, place) = (wanted.key().to_owned(), place(first.index, &wanted.spec().shape));
        let (wanted, found) = elements(wanted.dtype(), &first.one, &first.other);
        self.deviations.push(Deviation::Element { key, place, found, wanted });
        Ok(())
    }
}

/// The stream of a value of a state; `None` where it is no plain tensor.
fn stream(value: &StateValue, name: &str) -> Result<Option<Stream>, ApplyError> {
    let EntryData::Stored(_) = &value.data else { return Ok(None) };
    let (key, data) = (value.name.as_str().into(), value.data.clone());
    let entries = vec![Entry { key, data, parameter: false }];
    Stream::stored(0, name, &StateDict { entries, ..StateDict::default() }).map(Some)
}

/// The indices of an element that is counted in row-major order.
fn place(index: u64, shape: &[u64]) -> Vec<u64> {
    let mut rest = index;
    let mut place: Vec<u64> = Vec::with_capacity(shape.len());
    for &dim in shape.iter().rev() {
        place.push(rest % dim.max(1));
        rest /= dim.max(1);
    }
    place.reverse();
    place
}

/// Two elements of one dtype as numbers; as bytes where the numbers do not tell them apart.
fn elements(dtype: Dtype, one: &[u8], other: &[u8]) -> (String, String) {
    let number = |element: &[u8]| match (dtype, cast::get(dtype, element)) {
        // As many digits as the dtype has.
        #[allow(clippy::cast_possible_truncation)]
        (Dtype::F32 | Dtype::F16 | Dtype::Bf16, Some(value)) => (value as f32).to_string(),
        (_, Some(value)) => value.to_string(),
        (_, None) => String::new(),
    };
    let (first, second) = (number(one), number(other));
    if first != second {
        return (first, second);
    }
    let hex = |element: &[u8]| {
        let digits: String = element.iter().rev().map(|byte| format!("{byte:02x}")).collect();
        format!("{first} (0x{digits})").trim_start().to_owned()
    };
    (hex(one), hex(other))
}
