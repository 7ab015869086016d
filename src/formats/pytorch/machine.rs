//! The pickle machine: runs the opcodes of protocols 0 to 5 over symbols and builds a graph.
//!
//! It is Python's `pickle.Unpickler` with the world taken out: a global stays a name, a call stays
//! a call. Opcode meanings are those of `Lib/pickletools.py`.

use std::collections::HashMap;

use super::graph::{Full, Graph, NodeId};
use super::opcode::{self, *};
use crate::formats::Limit;

/// What is wrong with a pickle, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PickleError {
    /// The opcode at which the machine stopped.
    pub(super) opcode: String,
    /// Its offset in the pickle.
    pub(super) offset: usize,
    /// What is wrong.
    pub(super) what: String,
}

/// One value on the stack.
#[derive(Clone, Copy)]
struct Slot {
    node: NodeId,
    /// Whether this slot is where the value was created. Picklers change a value only there; a
    /// change through a copy could come between two uses and would move when written again.
    creation: bool,
}

struct Machine {
    graph: Graph,
    position: usize,
    stack: Vec<Slot>,
    marks: Vec<usize>,
    memo: Vec<NodeId>,
    /// Memo entries whose index does not follow the others.
    sparse_memo: HashMap<u32, NodeId>,
    max_nodes: usize,
}

type Step<T> = Result<T, String>;

/// Reads one pickle that fills `bytes`.
///
/// # Errors
/// Where the pickle is damaged, is followed by other bytes, uses what cannot be kept (out-of-band
/// buffers, a value changed through a copy), or has more than `max_nodes` values.
pub(super) fn read(bytes: Vec<u8>, max_nodes: usize) -> Result<Graph, PickleError> {
    let mut machine = Machine {
        graph: Graph::over(bytes),
        position: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        sparse_memo: HashMap::new(),
        max_nodes,
    };
    machine.graph.protocol = 0; // until PROTO says otherwise
    loop {
        let offset = machine.position;
        let code = machine.graph.pickle().get(offset).copied();
        let error = |what: String| PickleError {
            opcode: match code {
                None => "the end".to_owned(),
                Some(code) => opcode::name(code).map_or_else(|| format!("byte {code:#04x}"), str::to_owned),
            },
            offset,
            what,
        };
        let Some(code) = code else { return Err(error("the pickle ends without STOP".to_owned())) };
        machine.position += 1;
        machine.graph.note_opcode(code);
        match machine.run(code) {
            Ok(false) => {}
            Ok(true) => {
                let rest = machine.graph.pickle().len() - machine.position;
                if rest > 0 {
                    return Err(error(format!("{rest} more bytes follow the pickle")));
                }
                machine.graph.complete();
                return Ok(machine.graph);
            }
            Err(what) => return Err(error(what)),
        }
        // Copies of values on the stack take room as values do.
        if machine.graph.len().max(machine.stack.len()).max(machine.marks.len()) > max_nodes {
            return Err(error(too_many(max_nodes)));
        }
    }
}

fn too_many(max_nodes: usize) -> String {
    format!("the pickle holds more than {max_nodes} values; {} allows more", Limit::PickleValues)
}

impl From<Full> for String {
    fn from(_: Full) -> String {
        "the pickle holds more values than can be numbered".to_owned()
    }
}

impl Machine {
    /// Runs one opcode; true after `STOP`.
    fn run(&mut self, code: u8) -> Step<bool> {
        match code {
            PROTO => {
                let protocol = self.take(1)?[0];
                if protocol > 5 {
                    return Err(format!("protocol {protocol} is newer than 5"));
                }
                self.graph.protocol = protocol;
            }
            FRAME => {
                self.take(8)?;
            }
            STOP => {
                let root = self.pop()?;
                if !self.stack.is_empty() || !self.marks.is_empty() {
                    return Err("values are left on the stack".to_owned());
                }
                self.graph.root = root;
                return Ok(true);
            }
            NONE | NEWTRUE | NEWFALSE | EMPTY_TUPLE | EMPTY_LIST | EMPTY_DICT | EMPTY_SET | BININT1
            | EXT1 | BININT2 | EXT2 | BININT | EXT4 | BINFLOAT | LONG1 | SHORT_BINSTRING | SHORT_BINBYTES
            | SHORT_BINUNICODE | LONG4 | BINSTRING | BINBYTES | BINUNICODE | BINUNICODE8 | BINBYTES8
            | BYTEARRAY8 | INT | LONG | FLOAT | STRING | UNICODE | PERSID | GLOBAL => self.literal(code)?,
            MARK => self.marks.push(self.stack.len()),
            POP => self.pop_one()?,
            POP_MARK => {
                let mark = self.mark()?;
                self.stack.truncate(mark);
            }
            DUP => {
                let node = self.top()?.node;
                self.stack.push(Slot { node, creation: false });
            }
            PUT | BINPUT | LONG_BINPUT | MEMOIZE => self.put(code)?,
            GET | BINGET | LONG_BINGET => self.get(code)?,
            TUPLE1 => self.build(code, 1)?,
            TUPLE2 | REDUCE | NEWOBJ | STACK_GLOBAL => self.build(code, 2)?,
            TUPLE3 | NEWOBJ_EX => self.build(code, 3)?,
            BINPERSID => self.build(code, 1)?,
            TUPLE | LIST | DICT | FROZENSET | OBJ | INST => self.build_from_mark(code)?,
            APPEND | BUILD => self.change(code, 1)?,
            SETITEM => self.change(code, 2)?,
            APPENDS | SETITEMS | ADDITEMS => {
                let mark = self.mark()?;
                let count = self.stack.len() - mark;
                self.change(code, count)?;
            }
            NEXT_BUFFER | READONLY_BUFFER => {
                return Err("the pickle needs buffers that are kept outside of it".to_owned());
            }
            _ => return Err("there is no such opcode: the pickle is damaged".to_owned()),
        }
        Ok(false)
    }

    fn take(&mut self, len: usize) -> Step<&[u8]> {
        let start = self.position;
        let left = self.graph.pickle().len() - start;
        if len > left {
            return Err(format!("the argument has {len} bytes, the pickle has {left} left"));
        }
        self.position += len;
        Ok(&self.graph.pickle()[start..start + len])
    }

    /// The argument up to the next line break.
    fn take_line(&mut self) -> Step<&[u8]> {
        let start = self.position;
        let rest = &self.graph.pickle()[start..];
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or("the argument has no line break")?;
        self.position += end + 1;
        Ok(&self.graph.pickle()[start..start + end])
    }

    /// A length of `width` bytes.
    fn take_length(&mut self, width: usize) -> Step<usize> {
        let mut length = [0; 8];
        length[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(length)).map_err(|_| "the length is too large".to_owned())
    }

    /// A value that its opcode and argument say.
    fn literal(&mut self, code: u8) -> Step<()> {
        let start = self.position - 1;
        match opcode::argument(code) {
            Some(Argument::Fixed(count)) => drop(self.take(count)?),
            Some(Argument::Counted(width)) => {
                let length = self.take_length(width)?;
                self.take(length)?;
            }
            Some(Argument::Lines(count)) => {
                for _ in 0..count {
                    self.take_line()?;
                }
            }
            None => {}
        }
        let node = self.graph.add_literal(code, start, self.position)?;
        self.stack.push(Slot { node, creation: true });
        Ok(())
    }

    /// Where the values above the last mark begin; the mark goes.
    fn mark(&mut self) -> Step<usize> {
        self.marks.pop().ok_or_else(|| "there is no mark on the stack".to_owned())
    }

    /// The lowest stack index that may be touched: values below a mark are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<Slot> {
        if self.stack.len() <= self.floor() {
            return Err("the stack is empty".to_owned());
        }
        self.stack.last().copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop(&mut self) -> Step<NodeId> {
        let slot = self.top()?;
        self.stack.pop();
        Ok(slot.node)
    }

    /// `POP` takes a value, or a mark that lies on top.
    fn pop_one(&mut self) -> Step<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// Takes the last `count` values off the stack.
    fn pop_many(&mut self, count: usize) -> Step<Vec<NodeId>> {
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= self.floor());
        let start = start.ok_or_else(|| format!("the opcode needs {count} values, the stack has fewer"))?;
        Ok(self.stack.drain(start..).map(|slot| slot.node).collect())
    }

    fn build(&mut self, code: u8, count: usize) -> Step<()> {
        let operands = self.pop_many(count)?;
        if code == STACK_GLOBAL && operands.iter().any(|&id| self.graph.text(id).is_none()) {
            return Err("a module or class name is no text".to_owned());
        }
        let node = self.graph.add(code, &operands)?;
        self.stack.push(Slot { node, creation: true });
        Ok(())
    }

    fn build_from_mark(&mut self, code: u8) -> Step<()> {
        let start = self.position - 1;
        if code == INST {
            self.take_line()?;
            self.take_line()?;
        }
        let end = self.position;
        let mark = self.mark()?;
        let operands = self.pop_many(self.stack.len() - mark)?;
        if code == DICT && !operands.len().is_multiple_of(2) {
            return Err("a key has no value".to_owned());
        }
        if code == OBJ && operands.is_empty() {
            return Err("there is no class on the stack".to_owned());
        }
        let node = self.graph.add(code, &operands)?;
        if code == INST {
            self.graph.set_inline(node, start, end)?;
        }
        self.stack.push(Slot { node, creation: true });
        Ok(())
    }

    /// A mutation step of the value below the last `count`.
    fn change(&mut self, code: u8, count: usize) -> Step<()> {
        let operands = self.pop_many(count)?;
        if matches!(code, SETITEM | SETITEMS) && !operands.len().is_multiple_of(2) {
            return Err("a key has no value".to_owned());
        }
        let slot = self.top()?;
        if !slot.creation {
            return Err("a value is changed after it was used: this cannot be kept".to_owned());
        }
        let op = self.graph.node(slot.node).op;
        let fits = match code {
            BUILD => !is_constant(op),
            APPEND | APPENDS => !is_constant(op) && !matches!(op, EMPTY_DICT | DICT | EMPTY_SET),
            SETITEM | SETITEMS => !is_constant(op) && !matches!(op, EMPTY_LIST | LIST | EMPTY_SET),
            _ => !is_constant(op) && !matches!(op, EMPTY_LIST | LIST | EMPTY_DICT | DICT),
        };
        if !fits {
            return Err("the value below cannot be changed in this way".to_owned());
        }
        self.graph.add_step(slot.node, code, &operands)?;
        Ok(())
    }

    fn put(&mut self, code: u8) -> Step<()> {
        let index = match code {
            PUT => self.decimal()?,
            BINPUT => self.take_index(1)?,
            LONG_BINPUT => self.take_index(4)?,
            _ => u32::try_from(self.memo.len()).map_err(|_| Full)?,
        };
        let node = self.top()?.node;
        // A constant is one node wherever it stands: marking it would put all of them into the memo.
        if !is_constant(self.graph.node(node).op) {
            self.graph.memoize(node);
        }
        let place = index as usize;
        if let Some(entry) = self.memo.get_mut(place) {
            *entry = node;
        } else if place == self.memo.len() && !self.sparse_memo.contains_key(&index) {
            self.memo.push(node);
        } else {
            if self.sparse_memo.len() >= self.max_nodes {
                return Err(too_many(self.max_nodes));
            }
            self.sparse_memo.insert(index, node);
        }
        Ok(())
    }

    fn get(&mut self, code: u8) -> Step<()> {
        let index = match code {
            GET => self.decimal()?,
            BINGET => self.take_index(1)?,
            _ => self.take_index(4)?,
        };
        let node = self.memo.get(index as usize).or_else(|| self.sparse_memo.get(&index)).copied();
        let node = node.ok_or_else(|| format!("the memo has no entry {index}"))?;
        self.stack.push(Slot { node, creation: false });
        Ok(())
    }

    fn take_index(&mut self, width: usize) -> Step<u32> {
        u32::try_from(self.take_length(width)?).map_err(|_| "the memo index is too large".to_owned())
    }

    fn decimal(&mut self) -> Step<u32> {
        let line = self.take_line()?;
        let text = std::str::from_utf8(line).ok().and_then(|text| text.trim().parse().ok());
        text.ok_or_else(|| "the memo index is no number".to_owned())
    }
}

/// Whether the value of this opcode is immutable and made of its literal alone.
fn is_constant(op: u8) -> bool {
    matches!(
        op,
        NONE | NEWTRUE | NEWFALSE | EMPTY_TUPLE | BININT | BININT1 | BININT2 | BINFLOAT | LONG1 | INT | FLOAT
    )
}
