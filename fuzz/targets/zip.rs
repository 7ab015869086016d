//! The zip container: any bytes behind the signature of an entry.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let head = bytes.len().min(4);
    bytes[..head].copy_from_slice(&b"PK\x03\x04"[..head]);
    let read = fuzzing::open("zip.pt", &bytes);
    if let Ok(source) = &read {
        let _ = source.verify();
    }
    fuzzing::check(read);
});
