//! Rule files: parsed, resolved, formatted and planned against a small key set.

#![no_main]

use ckpt_migrate::rules::{self, Given, Text};
use ckpt_migrate::source::Sources;
use ckpt_migrate::{plan, syntax};
use libfuzzer_sys::fuzz_target;

/// No text can be taken in but the shipped sets.
struct Nothing;

impl rules::Loader for Nothing {
    type Place = ();

    fn load(&mut self, _: &str, (): &()) -> Result<Text<()>, String> {
        Err("there is no other text".to_owned())
    }
}

fuzz_target!(|text: &str| {
    if let Ok(laid_out) = syntax::format(text) {
        let again = syntax::format(&laid_out);
        assert_eq!(again.as_deref(), Ok(laid_out.as_str()), "formatting is idempotent");
    }
    let mut sources = Sources::new();
    let file = sources.add("fuzz.rules", text);
    let (ast, errors) = syntax::parse(text, file);
    for error in &errors {
        let _ = error.diagnostic(file);
    }
    let taken_in = rules::take_in(ast, (file, ()), &mut sources, &mut Nothing);
    let resolved = rules::resolve(&taken_in.ast, &sources, &Given::default());
    for error in &resolved.errors {
        let _ = rules::diagnostic(error);
    }
    if errors.is_empty() && taken_in.errors.is_empty() && resolved.errors.is_empty() {
        let _ = plan::plan(&resolved.rules, &sources, fuzzing::keys(), None);
        let target = fuzzing::keys();
        let _ = plan::plan(&resolved.rules, &sources, fuzzing::keys(), Some(&target));
    }
});
