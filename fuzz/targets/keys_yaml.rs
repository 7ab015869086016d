//! Key sets: what is read is written and read as the same; and is compared with another one.

#![no_main]

use ckpt_migrate::formats::keys_yaml;
use ckpt_migrate::keyset::Difference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match keys_yaml::parse("fuzz.keys.yaml", text) {
        Ok(keys) => {
            let written = keys_yaml::emit(&keys);
            let again = keys_yaml::parse("fuzz.keys.yaml", &written)
                .unwrap_or_else(|error| panic!("what was written is not read: {error}\n{written}"));
            assert!(keys.iter().eq(again.iter()), "{written}");
            assert_eq!(keys.name, again.name);
            assert_eq!(keys_yaml::emit(&again), written);
            let difference = Difference::new(&keys, &fuzzing::keys());
            let _ = (difference.candidates(), difference.to_json());
        }
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.code().is_empty());
            let _ = error.help();
        }
    }
});
