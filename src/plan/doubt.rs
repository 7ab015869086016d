//! What the shapes do not prove: statements that a person or a test with data must check.

use foldhash::HashMap;

use super::arena::Arena;
use super::{Applied, Move};
use crate::keyset::Key;
use crate::rules::verbs::Doubt;
use crate::source::Span;
use crate::tensor::TensorSpec;

/// A statement that could be wrong and still fit both key sets.
#[derive(Clone, Debug)]
pub struct Unproved {
    /// The statement.
    pub span: Span,
    /// What to look at.
    pub check: String,
}

/// The statements that the shapes do not prove.
pub(super) fn unproved(applied: &[Applied], arena: &Arena) -> Vec<Unproved> {
    applied
        .iter()
        .filter_map(|applied| {
            let check = match applied.verb.doubt {
                Doubt::None => None,
                Doubt::Names => names(applied, arena),
                Doubt::Order => order(applied, arena),
                Doubt::Always => applied.moves.first().map(|moved| {
                    format!(
                        "nothing shows that the elements of `{}` are where the model wants them",
                        moved.to
                    )
                }),
                Doubt::Arrangement => arrangement(applied, arena),
            };
            check.map(|check| Unproved { span: applied.span, check })
        })
        .collect()
}

/// Renames that choose names, between tensors of one spec whose last segments do not tell them apart.
fn names(applied: &Applied, arena: &Arena) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let mut first: HashMap<(&TensorSpec, Option<String>), (&Move, &Key)> = HashMap::default();
    for moved in &applied.moves {
        let Some(from) = moved.from.first() else { continue };
        let place = (arena.spec(moved.expr), last(from));
        match first.get(&place) {
            Some((other, other_from)) if other.chosen != moved.chosen => {
                return Some(format!(
                    "tensors of one shape could be exchanged: is `{other_from}` really `{}`, and `{from}` `{}`?",
                    other.to, moved.to
                ));
            }
            Some(_) => {}
            None => {
                first.insert(place, (moved, from));
            }
        }
    }
    None
}

/// Joins of operands of one shape, and cuts into parts of one shape.
fn order(applied: &Applied, arena: &Arena) -> Option<String> {
    let joined = applied
        .moves
        .iter()
        .find(|moved| moved.operands.windows(2).any(|pair| arena.spec(pair[0]) == arena.spec(pair[1])));
    if let Some(joined) = joined {
        let parts: Vec<String> = joined.from.iter().take(4).map(|key| format!("`{key}`")).collect();
        return Some(format!(
            "the parts are of one shape: does `{}` hold {} in this order?",
            joined.to,
            parts.join(", ")
        ));
    }
    let cut = applied
        .moves
        .windows(2)
        .find(|pair| pair[0].from == pair[1].from && arena.spec(pair[0].expr) == arena.spec(pair[1].expr))?;
    let whole = cut[0].from.first().map(ToString::to_string).unwrap_or_default();
    Some(format!("the parts are of one shape: does `{whole}` hold `{}` before `{}`?", cut[0].to, cut[1].to))
}

/// Results of the operand's own spec.
fn arrangement(applied: &Applied, arena: &Arena) -> Option<String> {
    let keeps = |moved: &&Move| {
        moved.operands.first().is_some_and(|&operand| arena.spec(operand) == arena.spec(moved.expr))
    };
    let same = applied.moves.iter().find(keeps)?;
    Some(format!(
        "`{}` keeps its shape {}: nothing shows that it is turned the right way",
        same.to,
        arena.spec(same.expr)
    ))
}
