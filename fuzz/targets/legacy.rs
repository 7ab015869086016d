//! Torch's legacy format: any bytes behind its magic number.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// The pickles of the magic number and of the protocol.
const BEGIN: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";

fuzz_target!(|rest: &[u8]| {
    fuzzing::check(fuzzing::open("legacy.pt", &[BEGIN, rest].concat()));
});
