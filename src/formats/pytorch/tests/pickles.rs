//! The machine and the emitter on hand-made pickles.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::emit;
use super::super::machine::{self, PickleError};

fn read_error(pickle: &[u8]) -> PickleError {
    machine::read(pickle.to_vec(), 10_000).expect_err("the pickle should be refused")
}

fn again(pickle: &[u8]) -> Vec<u8> {
    let graph = machine::read(pickle.to_vec(), 10_000).expect("a good pickle");
    emit::emit(&graph, 1 << 20).expect("not entangled").bytes
}

fn assert_same(pickle: &[u8]) {
    let written = again(pickle);
    assert_eq!(written, pickle, "{} became {}", pickle.escape_ascii(), written.escape_ascii());
}

#[test]
fn every_form_of_a_number_is_kept() {
    assert_same(b"\x80\x02]q\x00(K\x01M\x01\x00J\x01\x00\x00\x00\x8a\x01\x01\x88\x89NG?\xf0\x00\x00\x00\x00\x00\x00e.");
    assert_same(b"(I1\nI01\nL1L\nF1.5\nV\\u00e9\nS'x'\nl.");
}

#[test]
fn strings_shared_through_the_memo_stay_shared() {
    assert_same(b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01h\x01X\x01\x00\x00\x00bq\x02X\x01\x00\x00\x00au.");
}

#[test]
fn objects_are_changed_as_what_they_may_be() {
    // A subclass of list, of dict, of set, and one with a state.
    for change in [&b"Na"[..], b"(Ne", b"K\x01Ns", b"(K\x01Nu", b"(N\x90", b"}b"] {
        assert_same(&[b"\x80\x04ca\nB\n)\x81", change, b"."].concat());
    }
    assert_same(b"\x80\x02(K\x01K\x02dK\x03K\x04s.");
}

#[test]
fn memo_numbers_may_be_text_and_in_any_order() {
    assert_eq!(again(b"(lp7\n0(lp8\n0g7\ng8\n\x86."), b"(lq\x00(lq\x01\x86.");
    // The last value of a number is the one that counts.
    assert_eq!(again(b"\x80\x02]q\x01}q\x00q\x010h\x01\x86."), b"\x80\x02]q\x00}q\x01\x86.");
}

#[test]
fn batches_are_kept() {
    assert_same(b"\x80\x02]q\x00(K\x01K\x02e(K\x03eK\x04a.");
    assert_same(b"\x80\x02}q\x00(K\x01K\x02uK\x03K\x04s.");
}

#[test]
fn a_list_that_holds_itself() {
    assert_same(b"\x80\x02]q\x00h\x00a.");
}

#[test]
fn tuples_that_hold_themselves_are_taken_back_as_python_does() {
    // t = ([],); t[0].append(t), and the same with a tuple of four.
    assert_same(b"\x80\x02]q\x00h\x00\x85q\x01a0h\x01.");
    assert_same(b"\x80\x02(]q\x00(h\x00K\x01K\x02K\x03tq\x01aK\x01K\x02K\x031h\x01.");
}

#[test]
fn unknown_objects_stay_symbols() {
    assert_same(b"\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00lsq\x01\x85q\x02Rq\x03}q\x04X\x01\x00\x00\x00aq\x05K\x01sb.");
    assert_same(b"\x80\x02ca\nB\nq\x00)\x81q\x01}q\x02b.");
    assert_same(b"(cmodule\nName\nI1\no.");
    assert_same(b"(I1\nimodule\nName\n.");
}

#[test]
fn long_memo_entries_begin_at_256() {
    let mut pickle = b"\x80\x02]q\x00(".to_vec();
    for index in 1..300u32 {
        pickle.push(b']');
        match u8::try_from(index) {
            Ok(short) => pickle.extend([b'q', short]),
            Err(_) => {
                pickle.push(b'r');
                pickle.extend(index.to_le_bytes());
            }
        }
    }
    pickle.extend(b"h\xffj\x00\x01\x00\x00e.");
    assert_same(&pickle);
}

#[test]
fn memo_numbers_of_the_source_do_not_matter() {
    assert_eq!(again(b"\x80\x02]q\x07(h\x07r\x00\x01\x00\x00h\x07e."), b"\x80\x02]q\x00(h\x00h\x00e.");
}

#[test]
fn a_copy_on_the_stack_becomes_a_memo_entry() {
    // A list in a list, twice by DUP.
    assert_eq!(again(b"\x80\x02](]2e."), b"\x80\x02]q\x00(]q\x01h\x01e.");
}

#[test]
fn protocol_4_is_read_and_its_opcodes_stay() {
    let pickle = b"\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00]\x94\x8c\x01a\x94a.";
    assert_eq!(again(pickle), b"\x80\x04]q\x00\x8c\x01aq\x01a.");
}

#[test]
fn hostile_pickles_are_refused_with_the_place() {
    let cases: &[(&[u8], &str, usize, &str)] = &[
        (b"", "the end", 0, "without STOP"),
        (b"\x80\x02K", "BININT1", 2, "0 left"),
        (b"\x80\x02N", "the end", 3, "without STOP"),
        (b"\x80\x02h\x00.", "BINGET", 2, "no entry 0"),
        (b"\x80\x02j\xff\xff\xff\xff.", "LONG_BINGET", 2, "no entry 4294967295"),
        (b"\x80\x02X\xff\xff\xff\xffabc.", "BINUNICODE", 2, "4294967295 bytes"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.", "BINUNICODE8", 2, "bytes"),
        (b"\x80\x02.", "STOP", 2, "stack is empty"),
        (b"\x80\x02N(2.", "DUP", 4, "stack is empty"),
        (b"\x80\x04NN\x93.", "STACK_GLOBAL", 4, "is no text"),
        (b"\x80\x02NN.", "STOP", 4, "left on the stack"),
        (b"\x80\x02N.N.", "STOP", 3, "2 more bytes"),
        (b"\x80\x02(NR.", "REDUCE", 4, "needs 2 values"),
        (b"\x80\x02Nt.", "TUPLE", 3, "no mark"),
        (b"\x80\x02}(K\x01u.", "SETITEMS", 6, "no value"),
        (b"\x80\x02NNa.", "APPEND", 4, "cannot be changed"),
        (b"\x80\x02}Na.", "APPEND", 4, "cannot be changed"),
        (b"\x80\x02]q\x00h\x00Na.", "APPEND", 8, "after it was used"),
        (b"\x80\x02(K\x01d.", "DICT", 5, "no value"),
        (b"\x80\x02(o.", "OBJ", 3, "no class"),
        (b"\x80\x02(dNa.", "APPEND", 5, "cannot be changed"),
        (b"\x80\x04\x8fNa.", "APPEND", 4, "cannot be changed"),
        (b"\x80\x02]K\x01K\x02s.", "SETITEM", 7, "cannot be changed"),
        (b"\x80\x02(K\x01lK\x01K\x02s.", "SETITEM", 10, "cannot be changed"),
        (b"\x80\x04\x8fK\x01K\x02s.", "SETITEM", 7, "cannot be changed"),
        (b"\x80\x02NK\x01K\x02s.", "SETITEM", 7, "cannot be changed"),
        (b"\x80\x04](N\x90.", "ADDITEMS", 5, "cannot be changed"),
        (b"\x80\x04}(N\x90.", "ADDITEMS", 5, "cannot be changed"),
        (b"\x80\x04N(N\x90.", "ADDITEMS", 5, "cannot be changed"),
        (b"\x80\x02K\x01Nb.", "BUILD", 5, "cannot be changed"),
        (b"\x80\x09N.", "PROTO", 0, "newer"),
        (b"\x80\x05\x97.", "NEXT_BUFFER", 2, "buffers"),
        (b"\x80\x02\xff.", "byte 0xff", 2, "no such opcode"),
        (b"I1", "INT", 0, "no line break"),
        (b"gx\n.", "GET", 0, "no number"),
    ];
    for (pickle, opcode, offset, what) in cases {
        let error = read_error(pickle);
        assert_eq!(
            (error.opcode.as_str(), error.offset),
            (*opcode, *offset),
            "{}: {error:?}",
            pickle.escape_ascii()
        );
        assert!(error.what.contains(what), "{}: {error:?}", pickle.escape_ascii());
    }
}

#[test]
fn deep_nesting_does_not_recurse() {
    let depth = 200_000;
    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend(std::iter::repeat_n(b']', depth));
    pickle.extend(std::iter::repeat_n(b'a', depth - 1));
    pickle.push(b'.');
    let graph = machine::read(pickle.clone(), depth + 1).unwrap();
    assert_eq!(emit::emit(&graph, 1 << 24).unwrap().bytes, pickle);
    assert!(read_error(&pickle).what.contains("more than 10000 values"));
}

#[test]
fn budgets_hold_to_the_value() {
    // Values; copies on the stack; marks; entries of the memo out of order.
    for (pickle, most) in [(&b"]]a."[..], 2), (b"N222000.", 4), (b"N(((000.", 3), (b"]q\x05q\x06q\x07.", 3)] {
        assert!(machine::read(pickle.to_vec(), most).is_ok(), "{}", pickle.escape_ascii());
        let error = machine::read(pickle.to_vec(), most - 1).unwrap_err();
        assert!(error.what.contains("--limit pickle-values"), "{}: {error:?}", pickle.escape_ascii());
    }
}

#[test]
fn bombs_stay_small() {
    // Each level is a pair of the level below: 2^60 values if they were unfolded.
    let mut pickle = b"\x80\x02N\x85".to_vec();
    for _ in 0..60 {
        pickle.extend(b"2\x86");
    }
    pickle.push(b'.');
    let written = again(&pickle);
    assert!(written.len() < 1000, "{}", written.len());
}

#[test]
fn what_is_written_has_a_budget() {
    // Were there a value that holds itself without a memo entry, it would not end.
    let pickle = b"\x80\x02]q\x00(K\x01K\x02e.";
    let graph = machine::read(pickle.to_vec(), 100).unwrap();
    let without_stop = pickle.len() - 1;
    assert!(emit::emit(&graph, without_stop).is_ok());
    assert!(emit::emit(&graph, without_stop - 1).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(graph) = machine::read(bytes, 1000) {
            let _ = emit::emit(&graph, 1 << 16);
        }
    }

    #[test]
    fn emitting_is_idempotent(opcodes in proptest::collection::vec(proptest::sample::select(
        vec![&b"N"[..], b"]", b"}", b"(", b"K\x05", b"X\x01\x00\x00\x00k", b"\x85", b"\x86", b"t", b"a", b"e", b"s", b"u", b"2", b"0",
             b"\x94", b"h\x00", b"h\x01", b"h\x02", b"R", b"b", b")", b"cm\nn\n", b"Q"]), 1..60)) {
        let mut pickle = b"\x80\x02".to_vec();
        pickle.extend(opcodes.concat());
        pickle.push(b'.');
        if let Ok(graph) = machine::read(pickle, 1000)
            && let Ok(first) = emit::emit(&graph, 1 << 16)
        {
            let graph = machine::read(first.bytes.clone(), 1000).expect("what was emitted can be read");
            let second = emit::emit(&graph, 1 << 16).expect("what was emitted is not entangled");
            prop_assert_eq!(first.bytes, second.bytes);
        }
    }

    #[test]
    fn plain_values_agree_with_serde_pickle(
        value in proptest::collection::btree_map("[a-z]{1,8}", proptest::collection::vec(any::<i32>(), 0..5), 0..6)
    ) {
        let pickle = serde_pickle::to_vec(&value, serde_pickle::SerOptions::new().proto_v2()).unwrap();
        let written = again(&pickle);
        let read: BTreeMap<String, Vec<i32>> = serde_pickle::from_slice(&written, Default::default()).unwrap();
        prop_assert_eq!(read, value);
    }
}
