//! What the nodes of a graph are in Python: texts, numbers, globals, calls, dicts.

use std::borrow::Cow;

use super::graph::{Graph, NodeId};
use super::opcode::*;

impl Graph {
    /// The text of a string node, where it is valid Unicode.
    pub(super) fn text(&self, id: NodeId) -> Option<Cow<'_, str>> {
        let literal = self.literal(id);
        let at = match self.node(id).op {
            BINUNICODE | BINSTRING => 5,
            SHORT_BINUNICODE | SHORT_BINSTRING => 2,
            BINUNICODE8 => 9,
            UNICODE => return raw_unicode(literal.get(1..)?),
            STRING => return quoted(literal.get(1..)?),
            _ => return None,
        };
        std::str::from_utf8(literal.get(at..)?).ok().map(Cow::Borrowed)
    }

    /// The value of an integer node (and of the booleans, as Python has it), where it fits.
    pub(super) fn int(&self, id: NodeId) -> Option<i64> {
        let literal = self.literal(id);
        let argument = literal.get(1..)?;
        match self.node(id).op {
            BININT1 => argument.first().map(|&byte| i64::from(byte)),
            BININT2 => Some(i64::from(u16::from_le_bytes(argument.try_into().ok()?))),
            BININT => Some(i64::from(i32::from_le_bytes(argument.try_into().ok()?))),
            LONG1 => little_endian(argument.get(1..)?),
            LONG4 => little_endian(argument.get(4..)?),
            INT | LONG => {
                let text = std::str::from_utf8(argument).ok()?.trim_end_matches(['\n', '\r', 'L']);
                text.parse().ok()
            }
            _ => None,
        }
    }

    /// The value of a boolean node.
    pub(super) fn boolean(&self, id: NodeId) -> Option<bool> {
        match self.node(id).op {
            NEWTRUE => Some(true),
            NEWFALSE => Some(false),
            INT if self.literal(id) == b"I01\n" => Some(true),
            INT if self.literal(id) == b"I00\n" => Some(false),
            _ => None,
        }
    }

    /// The value of a float node.
    pub(super) fn float(&self, id: NodeId) -> Option<f64> {
        let argument = self.literal(id).get(1..)?;
        match self.node(id).op {
            BINFLOAT => Some(f64::from_be_bytes(argument.try_into().ok()?)),
            FLOAT => std::str::from_utf8(argument).ok()?.trim_end().parse().ok(),
            _ => None,
        }
    }

    /// The module and name of a global.
    pub(super) fn global(&self, id: NodeId) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
        match self.node(id).op {
            GLOBAL => {
                let text = std::str::from_utf8(self.literal(id).get(1..)?).ok()?;
                let (module, name) = text.strip_suffix('\n')?.split_once('\n')?;
                Some((module.into(), name.into()))
            }
            STACK_GLOBAL => match self.operands(id) {
                &[module, name] => Some((self.text(module)?, self.text(name)?)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the node is this global.
    pub(super) fn is_global(&self, id: NodeId, module: &str, name: &str) -> bool {
        self.global(id).is_some_and(|found| found.0 == module && found.1 == name)
    }

    /// The elements of a tuple.
    pub(super) fn tuple(&self, id: NodeId) -> Option<&[NodeId]> {
        matches!(self.node(id).op, EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3).then(|| self.operands(id))
    }

    /// The callable and the arguments of a `REDUCE`.
    pub(super) fn call(&self, id: NodeId) -> Option<(NodeId, &[NodeId])> {
        if self.node(id).op != REDUCE {
            return None;
        }
        match self.operands(id) {
            &[callable, arguments] => Some((callable, self.tuple(arguments)?)),
            _ => None,
        }
    }

    /// Whether the node is a `dict`, or an `OrderedDict` as Python 3 pickles it.
    pub(super) fn is_dict(&self, id: NodeId) -> bool {
        match self.node(id).op {
            EMPTY_DICT | DICT => true,
            REDUCE => self.call(id).is_some_and(|(callable, arguments)| {
                arguments.is_empty() && self.is_global(callable, "collections", "OrderedDict")
            }),
            _ => false,
        }
    }

    /// The items of a dict, in order; a key that is set again is listed again.
    pub(super) fn items(&self, id: NodeId) -> Vec<(NodeId, NodeId)> {
        let mut items = Vec::new();
        let mut take = |list: &[NodeId]| items.extend(list.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        if self.node(id).op == DICT {
            take(self.operands(id));
        }
        for step in self.steps(id) {
            if matches!(step.op, SETITEM | SETITEMS) {
                take(self.list(step.operands));
            }
        }
        items
    }

    /// The value of a text key of a dict.
    pub(super) fn item(&self, id: NodeId, key: &str) -> Option<NodeId> {
        let items = self.items(id);
        items.iter().rev().find(|item| self.text(item.0).is_some_and(|text| text == key)).map(|item| item.1)
    }
}

fn little_endian(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 8 {
        return None;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut value = [if negative { 0xff } else { 0 }; 8];
    value[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(value))
}

/// Protocol 0 text: one line, `\uXXXX` escapes, otherwise Latin-1.
fn raw_unicode(line: &[u8]) -> Option<Cow<'_, str>> {
    let line = line.strip_suffix(b"\n")?;
    if line.is_ascii() && !line.contains(&b'\\') {
        return std::str::from_utf8(line).ok().map(Cow::Borrowed);
    }
    let mut text = String::new();
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = match (byte, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            // It takes the next one along, so that of two backslashes neither begins an escape.
            (b'\\', Some(&next)) => {
                text.extend(['\\', char::from(next)]);
                rest = tail.get(1..)?;
                continue;
            }
            _ => {
                text.push(char::from(byte));
                rest = tail;
                continue;
            }
        };
        let code = std::str::from_utf8(tail.get(1..1 + digits)?).ok()?;
        text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        rest = tail.get(1 + digits..)?;
    }
    Some(Cow::Owned(text))
}

/// A protocol 0 string in quotes; one with escapes has no text here.
fn quoted(line: &[u8]) -> Option<Cow<'_, str>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let inner = line.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    let inner = inner.or_else(|| line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')))?;
    (!inner.contains('\\') && inner.is_ascii()).then_some(Cow::Borrowed(inner))
}
