//! The header of a safetensors file: any bytes, with a body that is as long as the first byte says.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (body, header) = input;
    let body: Vec<u8> = (0..body).collect();
    let length = (header.len() as u64).to_le_bytes();
    fuzzing::check(fuzzing::open("header.safetensors", &[&length, header, &body].concat()));
});
