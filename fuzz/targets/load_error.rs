//! Texts of loading errors, as people paste them.

#![no_main]

use ckpt_migrate::formats::load_error;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(error) = load_error::parse(text) {
        let keys = error.model_keys(&fuzzing::keys(), "fuzz");
        assert!(
            error.missing.iter().all(|key| keys.get(key).is_some()),
            "a missing key is one of the model's"
        );
    }
});
