//! The way from rules and tensors to a new file, inside the library.

use ckpt_migrate::apply::{self, Destination};
use ckpt_migrate::cli::target::keyset_of;
use ckpt_migrate::diagnostic::Diagnostic;
use ckpt_migrate::formats::{self, Checkpoint, Format, Limits, Placement, Progress, Replace};
use ckpt_migrate::keyset::KeySet;
use ckpt_migrate::plan::{Plan, Problem, plan};
use ckpt_migrate::rules::{self, Given, Resolved};
use ckpt_migrate::source::Sources;
use ckpt_migrate::syntax;

use crate::command::Folder;
use crate::safetensors;
use crate::tensors::Tensor;

struct Silent;

impl Progress for Silent {
    fn advance(&self, _: u64) {}
}

/// Rules with the text that their spans point into.
pub struct Rules {
    pub sources: Sources,
    pub resolved: Resolved,
    /// What is wrong with the text or the rules.
    pub errors: Vec<Diagnostic>,
}

/// Parses and resolves.
pub fn rules(text: &str) -> Rules {
    let mut sources = Sources::new();
    let file = sources.add("r.rules", text);
    let text = sources.get(file).unwrap().text.clone();
    let (ast, syntax_errors) = syntax::parse(&text, file);
    let resolved = rules::resolve(&ast, &sources, &Given::default());
    let mut errors: Vec<Diagnostic> = syntax_errors.iter().map(|error| error.diagnostic(file)).collect();
    errors.extend(resolved.errors.iter().map(rules::diagnostic));
    Rules { sources, resolved, errors }
}

impl Rules {
    /// Plans without a target; `Err` holds what does not fit.
    pub fn plan(&self, source: KeySet) -> Result<Plan, Vec<Problem>> {
        let planned = plan(&self.resolved.rules, &self.sources, source, None);
        planned.plan.ok_or(planned.problems)
    }
}

/// A checkpoint of these tensors, open.
pub fn open(folder: &Folder, tensors: &[Tensor]) -> Checkpoint {
    folder.write("source.safetensors", safetensors::to_bytes(tensors));
    formats::open(&folder.path("source.safetensors"), &[], &Limits::default()).unwrap()
}

/// Applies a plan and gives the bytes of the file, or why it could not be made.
pub fn apply(folder: &Folder, plan: &Plan, source: &Checkpoint) -> Result<Vec<u8>, String> {
    let path = folder.path("out.safetensors");
    let destination = Destination {
        shards: None,
        path: &path,
        name: None,
        format: Format::Safetensors,
        placement: Placement { replace: Replace::Force, sync: false },
        edits: &[],
        weights_only: false,
        record: Default::default(),
    };
    apply::apply(std::slice::from_ref(plan), source, &[], &[destination], &Silent)
        .map_err(|error| error.to_string())?;
    Ok(std::fs::read(path).unwrap())
}

/// Migrates tensors by rules that must fit them; gives the bytes of the file.
pub fn migrate(text: &str, tensors: &[Tensor]) -> Vec<u8> {
    let folder = Folder::new();
    let source = open(&folder, tensors);
    let rules = rules(text);
    assert!(rules.errors.is_empty(), "{text}\n{:?}", rules.errors);
    let plan = rules.plan(keyset_of(&source).unwrap());
    let plan = plan.unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
    apply(&folder, &plan, &source).unwrap()
}
