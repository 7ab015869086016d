//! What torch's weights-only loader refuses in a pickle.
//!
//! The rules are those of `Unpickler.load` in `torch/_weights_only_unpickler.py` of torch 2.11: which opcodes there
//! are, which names may be mentioned, what may be called, made and changed. Where it asks for the type of a value,
//! which calls give, this asks which call made it, and is the stricter of the two.

use std::collections::BTreeSet;

use super::allowed::is_allowed;
use super::graph::{Graph, NodeId};
use super::opcode::{self, *};

/// What `torch.load(weights_only=True)` refuses in a torch file, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Classes and functions that are not on its list, as `module.name`.
    pub globals: BTreeSet<String>,
    /// All else, each in a few words: `the opcode NEWOBJ_EX`.
    pub uses: BTreeSet<String>,
}

impl Refused {
    /// Adds what is refused in another file of the same checkpoint.
    pub(in crate::formats) fn extend(&mut self, other: Refused) {
        self.globals.extend(other.globals);
        self.uses.extend(other.uses);
    }
}

/// Which persistent ids a pickle may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistent {
    Storages,
    None,
}

/// The opcodes that the loader knows.
const KNOWN: &[u8] = &[
    PROTO,
    STOP,
    MARK,
    GLOBAL,
    NEWOBJ,
    REDUCE,
    BUILD,
    APPEND,
    APPENDS,
    SETITEM,
    SETITEMS,
    TUPLE,
    TUPLE1,
    TUPLE2,
    TUPLE3,
    NONE,
    NEWFALSE,
    NEWTRUE,
    EMPTY_TUPLE,
    EMPTY_LIST,
    EMPTY_DICT,
    EMPTY_SET,
    BININT,
    BININT1,
    BININT2,
    BINFLOAT,
    BINUNICODE,
    SHORT_BINSTRING,
    BINPERSID,
    BINGET,
    LONG_BINGET,
    BINPUT,
    LONG_BINPUT,
    LONG1,
];

/// The calls whose values may be given a state: the tensors and parameters that torch rebuilds, and dicts.
const BUILDABLE: &[&str] = &[
    "collections.Counter",
    "collections.OrderedDict",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.nn.parameter.Parameter",
];

/// The name that a node mentions: a class or function, or a number of copyreg's extension registry.
pub(super) fn mentioned(graph: &Graph, id: NodeId) -> Option<String> {
    if let Some((module, name)) = graph.global(id) {
        return Some(format!("{module}.{name}"));
    }
    let literal = graph.literal(id);
    match graph.node(id).op {
        // A name that is no text: no program has it, and yet it stands there.
        GLOBAL | INST => {
            let text = String::from_utf8_lossy(literal.get(1..).unwrap_or_default()).into_owned();
            Some(text.trim_end_matches('\n').replacen('\n', ".", 1))
        }
        EXT1 | EXT2 | EXT4 => {
            let mut code = [0; 4];
            let bytes = literal.get(1..).unwrap_or_default();
            code.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
            Some(format!("copyreg extension {}", u32::from_le_bytes(code)))
        }
        _ => None,
    }
}

/// Whether a node is a class or function on torch's list.
fn is_allowed_global(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).op == GLOBAL && graph.global(id).is_some_and(|(module, name)| is_allowed(&module, &name))
}

/// Every name that a pickle mentions, sorted.
pub(super) fn mentions(graph: &Graph) -> BTreeSet<String> {
    graph.ids().filter_map(|id| mentioned(graph, id)).collect()
}

/// What the loader refuses in a pickle.
pub(super) fn refused(graph: &Graph, persistent: Persistent) -> Refused {
    let mut refused = Refused::default();
    for code in graph.opcodes().filter(|code| !KNOWN.contains(code)) {
        let name = opcode::name(code).map_or_else(|| format!("{code:#04x}"), str::to_owned);
        refused.uses.insert(format!("the opcode {name}"));
    }
    for id in graph.ids() {
        if let Some(name) = mentioned(graph, id)
            && !is_allowed_global(graph, id)
        {
            // An allowed name that another opcode mentions is refused for the opcode.
            let listed = graph.global(id).is_some_and(|(module, name)| is_allowed(&module, &name));
            if !listed {
                refused.globals.insert(name);
            }
        }
        refused.uses.extend(misuses(graph, id, persistent));
    }
    refused
}

/// What a node and its mutation steps do that the loader does not let them.
fn misuses(graph: &Graph, id: NodeId, persistent: Persistent) -> impl Iterator<Item = String> {
    let node = graph.node(id);
    let first = graph.operands(id).first().copied();
    let creation = match node.op {
        REDUCE | NEWOBJ if !first.is_some_and(|callable| is_global(graph, callable)) => {
            Some(format!("{} of what is no name of a class or function", told(node.op)))
        }
        BINPERSID => match persistent {
            Persistent::None => Some("a persistent id where there is none in torch's files".to_owned()),
            Persistent::Storages if is_storage(graph, first) => None,
            Persistent::Storages => Some("a persistent id that names no storage".to_owned()),
        },
        _ => None,
    };
    // What a refused name makes is refused with it.
    let named = matches!(node.op, REDUCE | NEWOBJ | NEWOBJ_EX | OBJ | INST)
        && !first.is_some_and(|callable| is_allowed_global(graph, callable));
    let steps = graph.steps(id).filter(move |step| !named && !may_change(graph, id, step.op));
    let steps = steps.map(move |step| format!("{} of {}", told(step.op), kind(graph, id)));
    creation.into_iter().chain(steps)
}

/// Whether a node is any class or function: which it may be is told of the name itself.
fn is_global(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, GLOBAL | STACK_GLOBAL)
}

fn is_storage(graph: &Graph, id: Option<NodeId>) -> bool {
    let tuple = id.and_then(|id| graph.tuple(id)).unwrap_or_default();
    tuple.first().is_some_and(|&kind| graph.text(kind).as_deref() == Some("storage"))
}

/// Whether a mutation step of this opcode fits the value.
fn may_change(graph: &Graph, id: NodeId, op: u8) -> bool {
    let made = match graph.node(id).op {
        REDUCE | NEWOBJ => {
            let callable = graph.operands(id).first().copied();
            callable.filter(|&callable| is_allowed_global(graph, callable))
        }
        _ => None,
    };
    let made = made.and_then(|callable| graph.global(callable));
    let made = made.map(|(module, name)| format!("{module}.{name}"));
    match op {
        APPEND | APPENDS => graph.node(id).op == EMPTY_LIST,
        SETITEM | SETITEMS => {
            graph.node(id).op == EMPTY_DICT
                || made.is_some_and(|name| name == "collections.OrderedDict" || name == "collections.Counter")
        }
        BUILD => made.is_some_and(|name| BUILDABLE.contains(&name.as_str())),
        _ => true, // another opcode is refused as such
    }
}

/// What an opcode does, in words.
fn told(op: u8) -> &'static str {
    match op {
        REDUCE => "a call (REDUCE)",
        NEWOBJ => "an instance (NEWOBJ)",
        BUILD => "a state (BUILD)",
        APPEND | APPENDS => "elements (APPEND)",
        _ => "items (SETITEM)",
    }
}

/// What is changed, in words.
fn kind(graph: &Graph, id: NodeId) -> String {
    let callable = graph.operands(id).first().copied();
    match (graph.node(id).op, callable.and_then(|callable| mentioned(graph, callable))) {
        (REDUCE | NEWOBJ | NEWOBJ_EX | OBJ, Some(name)) => name,
        (EMPTY_DICT | DICT, _) => "a dict".to_owned(),
        (EMPTY_LIST | LIST, _) => "a list".to_owned(),
        _ => "another value".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::machine;
    use super::*;

    fn judged(pickle: &[u8]) -> Vec<String> {
        let graph = machine::read(pickle.to_vec(), 1000).unwrap();
        let Refused { globals, uses } = refused(&graph, Persistent::Storages);
        globals.into_iter().chain(uses).collect()
    }

    #[test]
    fn what_torch_loads_is_not_refused() {
        assert!(judged(b"\x80\x02ccollections\nOrderedDict\n)Rq\x00(K\x01K\x02u}b.").is_empty());
        assert!(judged(b"\x80\x02c__builtin__\nset\n](K\x01e\x85R.").is_empty());
        assert!(judged(b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\ntQ.").is_empty());
    }

    #[test]
    fn names_are_told_wherever_they_stand() {
        for pickle in [
            &b"\x80\x02cos\nsystem\n0N."[..],
            b"\x80\x02cos\nsystem\nq\x000h\x00)R.",
            b"(ios\nsystem\n.",
            b"(cos\nsystem\no.",
            b"\x80\x02cos\nsystem\n)\x81}b.",
        ] {
            assert_eq!(judged(pickle)[0], "os.system", "{}", pickle.escape_ascii());
        }
        assert_eq!(judged(b"\x80\x02\x83\x01\x02)R.")[0], "copyreg extension 513");
        assert_eq!(judged(b"\x80\x02ctorch\nEvilTensor\n."), ["torch.EvilTensor"]);
        assert_eq!(judged(b"\x80\x02cos\n\xff\n."), ["os.\u{fffd}"]);
    }

    #[test]
    fn what_is_done_with_values_is_judged() {
        for (pickle, told) in [
            (&b"\x80\x02K\x01)R."[..], "a call (REDUCE) of what is no name of a class or function"),
            (b"\x80\x02K\x01)\x81.", "an instance (NEWOBJ) of what is no name of a class or function"),
            (b"\x80\x02}}b.", "a state (BUILD) of a dict"),
            (b"\x80\x02ctorch\nSize\n)R}b.", "a state (BUILD) of torch.Size"),
            (b"\x80\x02ctorch\nSize\n)RK\x01a.", "elements (APPEND) of torch.Size"),
            (b"\x80\x02ctorch\nSize\n)RK\x01K\x02s.", "items (SETITEM) of torch.Size"),
            (b"\x80\x02K\x01Q.", "a persistent id that names no storage"),
            (b"\x80\x02N0N.", "the opcode POP"),
            (b"\x80\x02ccollections\nOrderedDict\n)}\x92.", "the opcode NEWOBJ_EX"),
            (b"\x80\x04\x8c\x05torch\x8c\x04Size\x93.", "the opcode STACK_GLOBAL"),
        ] {
            assert!(judged(pickle).iter().any(|what| what == told), "{:?}", judged(pickle));
        }
    }
}
