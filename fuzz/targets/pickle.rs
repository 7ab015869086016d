//! The pickle machine: any bytes as the `data.pkl` of an archive that has the storages 0 and 1.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pickle: &[u8]| {
    let storage: Vec<u8> = (0..64).collect();
    let records = [
        ("data.pkl", pickle),
        ("byteorder", b"little"),
        ("data/0", &storage),
        ("data/1", &storage[..16]),
        ("version", b"3\n"),
    ];
    fuzzing::check(fuzzing::open("pickle.pt", &fuzzing::archive(&records)));
});
