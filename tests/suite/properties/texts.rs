//! Nothing that is written makes the program panic, and equal rules give equal plans.

use ckpt_migrate::cli::target::keyset_of;
use ckpt_migrate::keyset::KeySet;
use proptest::prelude::*;
use proptest::sample::select;

use super::generate;
use crate::command::Folder;
use crate::pipeline::{self, Rules};
use crate::safetensors;
use crate::tensors::Tensor;

/// What planning says, in words.
fn outcome(rules: &Rules, source: KeySet) -> String {
    match rules.plan(source) {
        Ok(plan) => plan.render(&rules.sources, true) + &plan.to_json(&rules.sources).to_string(),
        Err(problems) => problems.iter().map(|problem| format!("{:?}\n", problem.diagnostic())).collect(),
    }
}

fn keyset(tensors: &[Tensor]) -> KeySet {
    let folder = Folder::new();
    keyset_of(&pipeline::open(&folder, tensors)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,80}", tensors in generate::tensors()) {
        outcome(&pipeline::rules(&text), keyset(&tensors));
    }

    #[test]
    fn any_tokens_are_parsed_or_refused(
        tokens in prop::collection::vec(select(vec![
            "rename", "drop", "split", "let", "under", "in", "migration", "where", "except", "and", "not", "a", "b",
            "x", "0", "1", "9223372036854775807", "1e400", ".", "..", "*", "**", "{", "}", "[", "]", "(", ")", "->",
            ",", "|", ":", "\"", "/", "//", "#", "-", "+", "%", "==", "<", "=", "?", "@", "\\", " ", "\n", "\r\n", "\t",
            "dim", "to", "over", "value", "shape", "count(", "group(", "é", "\u{feff}",
        ]), 0..40),
    ) {
        let text: String = tokens.concat();
        outcome(&pipeline::rules(&text), keyset(&[Tensor::counting("a.b", "f32", &[2, 3], 0)]));
    }

    #[test]
    fn errors_point_into_the_text(text in "\\PC{0,60}") {
        let rules = pipeline::rules(&text);
        for error in &rules.errors {
            for label in &error.labels {
                let source = rules.sources.get(label.span.file).unwrap();
                prop_assert!(source.text.get(label.span.start..label.span.end).is_some(), "{error:?}");
            }
        }
    }

    #[test]
    fn planning_is_deterministic(text in generate::rules(), tensors in generate::tensors()) {
        let (first, second) = (pipeline::rules(&text), pipeline::rules(&text));
        prop_assert_eq!(&first.errors, &second.errors);
        let keys = keyset(&tensors);
        prop_assert_eq!(outcome(&first, keys.clone()), outcome(&second, keys));
    }

    #[test]
    fn what_is_planned_can_be_applied(text in prop_oneof![generate::rules(), generate::sound_rules()], tensors in generate::tensors()) {
        let folder = Folder::new();
        let source = pipeline::open(&folder, &tensors);
        let rules = pipeline::rules(&text);
        prop_assume!(rules.errors.is_empty());
        let Ok(plan) = rules.plan(keyset_of(&source).unwrap()) else { return Ok(()) };
        match pipeline::apply(&folder, &plan, &source) {
            Ok(bytes) => {
                let written = safetensors::from_bytes(&bytes);
                prop_assert_eq!(written.len(), plan.outputs().len());
                for output in plan.outputs() {
                    let spec = plan.arena().spec(output.expr);
                    let tensor = written.iter().find(|tensor| tensor.key == *output.key).unwrap();
                    prop_assert_eq!(spec.dtype.name(), &tensor.dtype);
                    prop_assert_eq!(&spec.shape, &tensor.shape);
                    prop_assert_eq!(spec.nbytes(), Some(tensor.bytes.len() as u64));
                }
            }
            // Only what is said of values can still fail.
            Err(error) => prop_assert!(error.contains("the assertion fails"), "{}", error),
        }
    }
}
