//! Adds values to a graph as Python's pickler and torch would have pickled them.

use std::collections::HashMap;

use super::graph::{Full, Graph, NodeId};
use super::opcode::*;
use super::tensors;
use crate::tensor::{TensorSpec, contiguous_strides};

/// How many items the pickler puts into one `SETITEMS` (`_BATCHSIZE` of `Lib/pickle.py`).
const BATCH: usize = 1000;

/// Adds values to a graph; constant strings and globals are shared, as they are one object in Python.
pub(super) struct Builder<'g> {
    pub(super) graph: &'g mut Graph,
    globals: HashMap<(String, String), NodeId>,
    strings: HashMap<String, NodeId>,
}

/// What a new tensor looks like in the pickle.
pub(super) struct NewTensor<'a> {
    pub(super) spec: &'a TensorSpec,
    pub(super) location: &'a str,
    pub(super) requires_grad: bool,
    pub(super) parameter: bool,
}

impl<'g> Builder<'g> {
    /// Builds on a graph, whose globals and storage constants are used again.
    pub(super) fn new(graph: &'g mut Graph) -> Self {
        let mut globals = HashMap::new();
        let mut strings = HashMap::new();
        for id in graph.ids() {
            let node = graph.node(id);
            if let (GLOBAL, Some((module, name))) = (node.op, graph.global(id)) {
                globals.entry((module.into_owned(), name.into_owned())).or_insert(id);
            }
            let storage = (node.op == BINPERSID).then(|| graph.operands(id).first()).flatten();
            if let Some(&[kind, _, _, location, _]) = storage.and_then(|&tuple| graph.tuple(tuple)) {
                for constant in [kind, location] {
                    if let Some(text) = graph.text(constant) {
                        strings.entry(text.into_owned()).or_insert(constant);
                    }
                }
            }
        }
        Builder { graph, globals, strings }
    }

    /// A string that is its own object.
    pub(super) fn string(&mut self, text: &str) -> Result<NodeId, Full> {
        let mut literal = Vec::with_capacity(text.len() + 5);
        literal.push(BINUNICODE);
        literal.extend(u32::try_from(text.len()).map_err(|_| Full)?.to_le_bytes());
        literal.extend(text.as_bytes());
        self.graph.add_new_literal(&literal, true)
    }

    fn constant(&mut self, text: &str) -> Result<NodeId, Full> {
        if let Some(&id) = self.strings.get(text) {
            return Ok(id);
        }
        let id = self.string(text)?;
        self.strings.insert(text.to_owned(), id);
        Ok(id)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<NodeId, Full> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(&id) = self.globals.get(&key) {
            return Ok(id);
        }
        let id = self.graph.add_new_literal(format!("c{module}\n{name}\n").as_bytes(), true)?;
        self.globals.insert(key, id);
        Ok(id)
    }

    pub(super) fn none(&mut self) -> Result<NodeId, Full> {
        self.graph.add_new_literal(&[NONE], false)
    }

    pub(super) fn boolean(&mut self, value: bool) -> Result<NodeId, Full> {
        self.graph.add_new_literal(&[if value { NEWTRUE } else { NEWFALSE }], false)
    }

    pub(super) fn float(&mut self, value: f64) -> Result<NodeId, Full> {
        self.graph.add_new_literal(&[&[BINFLOAT][..], &value.to_be_bytes()].concat(), false)
    }

    /// A whole number, negative or not.
    pub(super) fn signed(&mut self, value: i64) -> Result<NodeId, Full> {
        if let Ok(value) = u64::try_from(value) {
            return self.int(value);
        }
        let literal = match i32::try_from(value) {
            Ok(value) => [&[BININT][..], &value.to_le_bytes()].concat(),
            Err(_) => {
                let mut bytes = value.to_le_bytes().to_vec();
                while bytes.ends_with(&[0xff])
                    && bytes.iter().rev().nth(1).is_some_and(|byte| byte & 0x80 != 0)
                {
                    bytes.pop();
                }
                let length = u8::try_from(bytes.len()).map_err(|_| Full)?;
                [&[LONG1, length][..], &bytes].concat()
            }
        };
        self.graph.add_new_literal(&literal, false)
    }

    pub(super) fn int(&mut self, value: u64) -> Result<NodeId, Full> {
        let literal = if let Ok(value) = u8::try_from(value) {
            vec![BININT1, value]
        } else if let Ok(value) = u16::try_from(value) {
            [&[BININT2][..], &value.to_le_bytes()].concat()
        } else if let Ok(value) = i32::try_from(value) {
            [&[BININT][..], &value.to_le_bytes()].concat()
        } else {
            let mut bytes = value.to_le_bytes().to_vec();
            bytes.push(0); // the sign
            while bytes.ends_with(&[0]) && bytes.iter().rev().nth(1).is_some_and(|byte| byte & 0x80 == 0) {
                bytes.pop();
            }
            let length = u8::try_from(bytes.len()).map_err(|_| Full)?;
            [&[LONG1, length][..], &bytes].concat()
        };
        self.graph.add_new_literal(&literal, false)
    }

    /// A tuple.
    pub(super) fn tuple(&mut self, elements: &[NodeId]) -> Result<NodeId, Full> {
        let op = match elements.len() {
            0 => return self.graph.add_new_literal(&[EMPTY_TUPLE], false),
            1 => TUPLE1,
            2 => TUPLE2,
            3 => TUPLE3,
            _ => TUPLE,
        };
        self.memoized(op, elements)
    }

    fn ints(&mut self, values: &[u64]) -> Result<NodeId, Full> {
        let elements = values.iter().map(|&value| self.int(value)).collect::<Result<Vec<_>, _>>()?;
        self.tuple(&elements)
    }

    fn memoized(&mut self, op: u8, operands: &[NodeId]) -> Result<NodeId, Full> {
        let id = self.graph.add(op, operands)?;
        self.graph.memoize(id);
        Ok(id)
    }

    fn call(&mut self, module: &str, name: &str, arguments: &[NodeId]) -> Result<NodeId, Full> {
        let callable = self.global(module, name)?;
        let arguments = self.tuple(arguments)?;
        self.memoized(REDUCE, &[callable, arguments])
    }

    /// An empty dict.
    pub(super) fn dict(&mut self) -> Result<NodeId, Full> {
        self.graph.add_new_literal(&[EMPTY_DICT], true)
    }

    /// An empty list.
    pub(super) fn list(&mut self) -> Result<NodeId, Full> {
        self.graph.add_new_literal(&[EMPTY_LIST], true)
    }

    /// Replaces the elements of a list, in the pickler's batches.
    pub(super) fn set_elements(&mut self, list: NodeId, elements: &[NodeId]) -> Result<(), Full> {
        self.graph.clear_steps(list);
        if self.graph.node(list).op == LIST {
            self.graph.set_operands(list, &[])?;
        }
        for batch in elements.chunks(BATCH) {
            let single = batch.len() == 1 && elements.len() == 1;
            self.graph.add_step(list, if single { APPEND } else { APPENDS }, batch)?;
        }
        Ok(())
    }

    /// A contiguous tensor over a storage of its own, as `Tensor.__reduce_ex__` pickles it; returns
    /// the tensor and the persistent id of its storage, whose key is still to be set.
    pub(super) fn tensor(&mut self, tensor: &NewTensor<'_>) -> Result<Option<(NodeId, NodeId)>, Full> {
        let TensorSpec { dtype, shape } = tensor.spec;
        let (Some(numel), Some(nbytes), Some(strides)) =
            (tensor.spec.numel(), tensor.spec.nbytes(), contiguous_strides(shape))
        else {
            return Ok(None);
        };
        let typed = tensors::storage_class(*dtype);
        let (class, size) = match typed {
            Some(class) => (self.global("torch", class)?, numel),
            None => (self.global("torch.storage", "UntypedStorage")?, nbytes),
        };
        let (kind, key, location) =
            (self.constant("storage")?, self.constant("")?, self.constant(tensor.location)?);
        let size = self.int(size)?;
        let id = self.tuple(&[kind, class, key, location, size])?;
        let storage = self.graph.add(BINPERSID, &[id])?;
        let (offset, shape, strides) = (self.int(0)?, self.ints(shape)?, self.ints(&strides)?);
        let requires_grad = self.boolean(tensor.requires_grad && !tensor.parameter)?;
        let hooks = self.call("collections", "OrderedDict", &[])?;
        let mut arguments = vec![storage, offset, shape, strides, requires_grad, hooks];
        let mut rebuild = "_rebuild_tensor_v2";
        if typed.is_none() {
            let Some(name) = tensors::dtype_name(*dtype) else { return Ok(None) };
            arguments.push(self.global("torch", name)?);
            rebuild = "_rebuild_tensor_v3";
        }
        let mut node = self.call("torch._utils", rebuild, &arguments)?;
        if tensor.parameter {
            let (requires_grad, hooks) =
                (self.boolean(tensor.requires_grad)?, self.call("collections", "OrderedDict", &[])?);
            node = self.call("torch._utils", "_rebuild_parameter", &[node, requires_grad, hooks])?;
        }
        Ok(Some((node, storage)))
    }

    /// Gives a storage the key of its record.
    pub(super) fn set_storage_key(&mut self, storage: NodeId, key: NodeId) -> Result<(), Full> {
        let Some(&tuple) = self.graph.operands(storage).first() else { return Ok(()) };
        let Some(&[kind, class, _, location, size]) = self.graph.tuple(tuple) else { return Ok(()) };
        let memoized = self.graph.node(tuple).memoized;
        let tuple = self.graph.add(TUPLE, &[kind, class, key, location, size])?;
        if memoized {
            self.graph.memoize(tuple);
        }
        self.graph.set_operands(storage, &[tuple])
    }

    /// Replaces the items of a dict, in the pickler's batches; its other steps (`BUILD`) follow them.
    pub(super) fn set_items(&mut self, dict: NodeId, items: &[(NodeId, NodeId)]) -> Result<(), Full> {
        let others: Vec<_> =
            self.graph.steps(dict).filter(|step| !matches!(step.op, SETITEM | SETITEMS)).copied().collect();
        self.graph.clear_steps(dict);
        let exact = matches!(self.graph.node(dict).op, EMPTY_DICT | DICT);
        if self.graph.node(dict).op == DICT {
            self.graph.set_operands(dict, &[])?;
        }
        for batch in items.chunks(BATCH) {
            let operands: Vec<NodeId> = batch.iter().flat_map(|item| [item.0, item.1]).collect();
            // The C pickler looks one item ahead for subclasses of dict, and at the length for dicts.
            let single = batch.len() == 1 && (items.len() == 1 || !exact);
            self.graph.add_step(dict, if single { SETITEM } else { SETITEMS }, &operands)?;
        }
        for step in others {
            let operands = self.graph.list(step.operands).to_vec();
            self.graph.add_step(dict, step.op, &operands)?;
        }
        Ok(())
    }

    /// A dict of its own with the items of another one.
    pub(super) fn copy_of(&mut self, dict: NodeId) -> Result<NodeId, Full> {
        let node = *self.graph.node(dict);
        if node.op != EMPTY_DICT {
            return Ok(dict);
        }
        let copy = self.dict()?;
        let items = self.graph.items(dict);
        self.set_items(copy, &items)?;
        Ok(copy)
    }
}
