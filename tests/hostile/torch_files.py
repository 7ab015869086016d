"""Malicious torch files: what their pickles may do, say and hold."""

import random
import struct

from pickles import *

# Each can do harm when it is called, is a way to such a name, or looks like one of torch's own.
NAMES = """
os system, posix system, nt system, os popen, os execl, os.path join, subprocess Popen, subprocess check_output
builtins eval, builtins exec, builtins open, builtins getattr, builtins __import__, builtins compile, builtins breakpoint
__builtin__ eval, __builtin__ execfile, __builtin__ set, builtins dict, builtins object, sys exit, sys modules
importlib import_module, runpy _run_code, pickle loads, _pickle loads, marshal loads, types CodeType, types FunctionType
webbrowser open, pty spawn, code InteractiveInterpreter, pdb run, timeit timeit, ctypes CDLL, socket create_connection
shutil rmtree, functools partial, operator attrgetter, operator methodcaller, logging.config listen, pip main
torch load, torch.hub load, torch.jit load, torch.serialization load, torch.storage _load_from_bytes, torch.ops load_library
torch.utils.cpp_extension load, torch.package PackageImporter, torch._inductor.codecache compile_file, torch.distributed.rpc rpc_sync
torch EvilTensor, torch EvilStorage, torch.cuda EvilTensor, torch.sparse BoolTensor, torch int9, torch float32.__class__
torch Size.__init__, torch Tensor.__reduce__, torch _utils._rebuild_tensor_v2, torch._utils _import_dotted_name, torch nn.Parameter
collections OrderedDict.fromkeys, collections __builtins__, collections namedtuple, collections.OrderedDict __init__
numpy load, numpy.core.multiarray _reconstruct, numpy.f2py.crackfortran getlincoef, joblib load, yaml load, cffi FFI
copyreg _reconstructor, copyreg add_extension, copy_reg __newobj__, models Net, __main__ Net, UserDict OrderedDict, . system
""".replace("\n", ",")
NAMES = [tuple(pair.split()) for pair in NAMES.split(",") if pair.strip()]


def around(value: bytes) -> bytes:
    """A checkpoint with a state dict of one tensor, and the value beside it."""
    return named(state_dict=named(w=tensor()), extra=value)


def names():
    for module, attribute in NAMES:
        harm = call(name(module, attribute), text(COMMAND))
        word = f"{module}.{attribute}".replace("/", "_")
        yield f"call-{word}", around(harm)
        yield f"named-{word}", around(name(module, attribute))
        yield f"stacked-{word}", around(text(module) + text(attribute) + b"\x93)R")


def positions():
    """One call at every place where a value may stand."""
    system = name("os", "system")
    harm = call(system, text(COMMAND))
    yield "root", harm
    yield "as-a-key", table((harm, number(1)), (text("w"), tensor()))
    yield "as-a-tensor", named(w=tensor(), v=harm)
    yield "in-a-list", around(many(number(1), harm))
    yield "in-hyper-parameters", named(state_dict=named(w=tensor()), hyper_parameters=named(a=harm))
    yield "in-an-optimizer", named(state_dict=named(w=tensor()), optimizer_states=many(named(state=named(), param_groups=harm)))
    yield "in-a-tensors-hooks", named(w=call(name("torch._utils", "_rebuild_tensor_v2"), storage(), number(0), sequence(number(4)), sequence(number(1)), b"\x89", harm))
    yield "as-a-dtype", named(w=call(name("torch._utils", "_rebuild_tensor_v3"), storage(), number(0), sequence(number(4)), sequence(number(1)), b"\x89", ordered(), system))
    yield "as-a-type", named(w=call(name("torch._tensor", "_rebuild_from_type_v2"), system, name("torch", "Tensor"), sequence(text(COMMAND)), b"N"))
    yield "as-a-parameter", named(w=call(name("torch._utils", "_rebuild_parameter"), harm, b"\x88", ordered()))
    yield "as-metadata", ordered() + b"(" + text("w") + tensor() + b"u" + named(_metadata=harm) + b"b"
    yield "as-a-state", around(name("models", "Net") + b")\x81" + named(__setstate__=system) + b"b")
    yield "as-a-slot-state", around(name("models", "Net") + b")\x81" + sequence(b"N", named(a=harm)) + b"b")
    yield "state-of-a-tensor", named(w=tensor() + sequence(harm) + b"b")
    yield "state-of-a-dict", around(b"}" + named(a=harm) + b"b")
    yield "state-of-a-list", around(b"]" + named(a=number(1)) + b"b")
    yield "items-of-a-list", around(b"](" + text("a") + number(1) + b"u")
    yield "items-of-an-instance", around(name("models", "Net") + b")\x81(" + text("a") + harm + b"u")
    yield "elements-of-a-dict", around(b"}(" + number(1) + b"e")
    yield "elements-of-an-instance", around(name("builtins", "bytearray") + b")R" + number(1) + b"a")
    yield "dtype-called", around(call(name("torch", "float32"), text(COMMAND)))
    yield "storage-called", around(storage() + b")R")
    yield "text-called", around(text("os.system") + sequence(text(COMMAND)) + b"R")
    yield "call-without-a-tuple", around(system + text(COMMAND) + b"R")
    yield "call-of-a-call", around(call(call(name("builtins", "getattr"), name("os", "path"), text("join")), text(COMMAND)))
    yield "twice-in-a-dict", table((text("w"), harm), (text("w"), tensor()))
    yield "dropped-by-a-second-item", named(state_dict=named(w=tensor()), epoch=number(1)) + b"(" + text("epoch") + harm + b"u"
    yield "nested-pickle", around(b"C" + bytes([len(pickle(system))]) + pickle(system))
    yield "nested-zip", around(b"B" + struct.pack("<I", len(archive(pickle(harm)))) + archive(pickle(harm)))


def opcodes():
    """One trick for each opcode that the weights-only loader of torch does not have, and some that it has."""
    system, command = name("os", "system"), text(COMMAND)
    yield "inst", around(b"(" + command + b"ios\nsystem\n")
    yield "obj", around(b"(" + system + command + b"o")
    yield "obj-without-a-class", around(b"(o")
    yield "newobj", around(system + sequence(command) + b"\x81")
    yield "newobj-ex", around(system + sequence(command) + named() + b"\x92")
    yield "newobj-ex-of-torch", around(name("collections", "OrderedDict") + b")" + named() + b"\x92")
    for code, data in [(b"\x82", b"\x05"), (b"\x83", b"\x05\x01"), (b"\x84", b"\x05\x01\x00\x00"), (b"\x84", b"\xff" * 4)]:
        yield f"ext-{code.hex()}-{data.hex()}", around(code + data + sequence(command) + b"R")
    yield "stack-global-built", around(b"\x8c\x02os\x94\x8c\x06system\x94\x93)R")
    yield "stack-global-of-a-list", around(b"]]\x93")
    yield "stack-global-of-a-call", around(call(name("builtins", "str"), text("os")) + text("system") + b"\x93")
    yield "stack-global-dotted", around(text("os") + text("path.join.__globals__") + b"\x93")
    yield "memo", around(system + put(7) + b"0" + get(7) + sequence(command) + b"R")
    yield "memo-under-another-name", around(name("collections", "OrderedDict") + put(7) + system + put(7) + b"0" + b"0" + get(7) + sequence(command) + b"R")
    yield "memo-in-text", b"}p1\n(" + text("a") + b"cos\nsystem\np3\n(" + command + b"tRu"
    yield "popped", system + b"0" + around(number(1))
    yield "popped-call", call(system, command) + b"0" + around(number(1))
    yield "popped-with-a-mark", b"(" + call(system, command) + b"1" + around(number(1))
    yield "dup", around(system + b"2" + sequence(command) + b"R" + b"\x86")
    yield "dup-of-what-changes", b"}2" + text("a") + number(1) + b"s\x86"
    yield "persid", around(b"Pos.system\n")
    yield "frozenset", around(b"(" + system + b"\x91")
    yield "additems", around(b"\x8f(" + system + b"\x90")
    yield "buffers", around(b"\x97\x98")
    yield "frame", b"\x95" + struct.pack("<Q", 5) + around(number(1))
    yield "no-such-opcode", around(b"\xff")
    yield "protocol-in-the-middle", around(b"\x80\x02" + number(1))
    yield "protocol-200", b"\x80\xc8" + around(number(1))
    yield "name-without-text", around(b"c\xff\xfe\n\xfd\nN0")
    yield "name-with-a-control", around(b"cos\x1b[2J\nsystem\r\n)R")
    yield "empty-name", around(b"c\n\n)R")
    yield "no-mark", named(a=number(1)) + b"u"
    yield "marks", b"(" * 60_000 + named(w=tensor())
    yield "two-pickles", around(number(1)) + STOP + b"\x80\x02" + call(system, command)
    yield "nothing", b""
    yield "stop-only", b"."
    yield "two-values", number(1) + around(number(1))
    yield "int-as-text", around(b"I" + b"9" * 100_000 + b"\n")
    yield "long-as-text", around(b"L" + b"9" * 100_000 + b"L\n")
    yield "float-as-text", around(b"F1e999999999\n")
    yield "float-of-words", around(b"Fos.system\n")
    yield "escapes-in-text", around(b"V\\ud800\\U0011ffff\n")
    yield "string-with-code", around(b"S'' + __import__('os').system('touch executed') + ''\n")
    yield "long1-of-255", around(b"\x8a\xff" + b"\x7f" * 255)
    yield "long4-negative", around(b"\x8b" + struct.pack("<i", -1))
    yield "surrogates", table((text("\ud800"), tensor()))
    yield "controls-in-a-key", table((text("a\x1b[2J\u202e\n\0"), tensor()))
    for code, width in [(b"X", "<I"), (b"B", "<I"), (b"T", "<I"), (b"\x8b", "<I"), (b"\x8d", "<Q"), (b"\x8e", "<Q"), (b"\x96", "<Q")]:
        for length in (2**31 - 1, 2**32 - 1) + ((2**63 - 1, 2**64 - 1) if width == "<Q" else ()):
            yield f"length-{code.hex()}-{length:x}", around(code + struct.pack(width, length) + b"x")
    yield "frame-huge", b"\x95" + struct.pack("<Q", 2**64 - 1) + around(number(1))


def identifiers():
    """Persistent ids: what names a storage may be anything."""
    keys = ["../x", "/etc/passwd", "", ".", "..", "a/b", "a\\b", "x\0", "data.pkl", "1", "0" * 70_000, "\u202e0", "CON", "~"]
    for index, key in enumerate(keys):
        yield f"key-{index}", named(w=tensor(key=text(key)))
    for word, key in [("number", number(0)), ("list", many(text("0"))), ("none", b"N"), ("bytes", b"U\x010"), ("name", name("os", "system"))]:
        yield f"key-is-a-{word}", named(w=tensor(key=key))
    for size in [-1, 0, 3, 5, 2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**200]:
        yield f"size-{size:x}", named(w=tensor(size=number(size)))
    for word, size in [("none", b"N"), ("text", text("4")), ("float", b"G" + struct.pack(">d", 4.0)), ("true", b"\x88")]:
        yield f"size-is-{word}", named(w=tensor(size=size))
    for module, kind in [("os", "system"), ("torch", "EvilStorage"), ("torch.cuda", "FloatStorage"), ("torch", "UntypedStorage"), ("torch", "QUInt4x2Storage")]:
        yield f"of-{module}-{kind}", named(w=tensor(kind=name(module, kind)))
    for word in ["module", "Storage", "stor\0age", "os.system", ""]:
        yield f"word-{word}".replace("\0", "0"), named(w=tensor(word=text(word)))
    for word, pid in [("int", number(7)), ("text", text("storage")), ("none", b"N"), ("list", many(text("storage"))), ("empty", b")"), ("dict", named()), ("itself", b")Q\x85Q"), ("module", sequence(text("module"), name("os", "system"), text("f"), text("s")))]:
        yield f"id-is-{word}", around(pid + b"Q")
    yield "five-more-fields", named(w=tensor(more=[number(1)] * 5))
    yield "location-of-70000", named(w=tensor(location=text("c" * 70_000)))
    yield "location-is-a-name", named(w=tensor(location=name("os", "system")))


def geometry():
    """Shapes, strides and offsets that lie."""
    big = [2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, -(2**63)]
    for value in big:
        yield f"dim-{value:x}", named(w=tensor((value,), (1,)))
        yield f"dim-of-stride-0-{value:x}", named(w=tensor((value,), (0,)))
        yield f"stride-{value:x}", named(w=tensor((2,), (value,)))
        yield f"offset-{value:x}", named(w=tensor((1,), (1,), value))
    yield "product-overflows", named(w=tensor((2**32, 2**32), (0, 0)))
    yield "product-overflows-in-bytes", named(w=tensor((2**31, 2**30), (0, 0)))
    yield "product-of-nothing", named(w=tensor((2**63 - 1, 2**63 - 1, 0), (0, 0, 0)))
    yield "strides-overflow", named(w=tensor((3, 3), (2**63 - 1, 2**63 - 1)))
    yield "offset-and-strides-overflow", named(w=tensor((2,), (2**63 - 1,), 2**63 - 1))
    yield "one-element-too-far", named(w=tensor((4,), (1,), 1))
    yield "more-strides", named(w=tensor((4,), (1, 1)))
    yield "no-strides", named(w=tensor((4,), ()))
    yield "shape-is-a-name", named(w=tensor(name("os", "system"), (1,)))
    yield "shape-holds-itself", named(w=tensor((sequence(number(1)),), (1,)))
    yield "expanded-2-40", named(w=tensor((2**40,), (0,)))
    yield "ranks-64", named(w=tensor((1,) * 64, (1,) * 64))
    yield "ranks-100000", named(w=tensor((1,) * 100_000, (1,) * 100_000))
    yield "ranks-of-nothing", named(w=tensor((0,) * 50_000, (1,) * 50_000))
    yield "storage-under-two-sizes", named(w=tensor(), v=tensor(size=number(2)))
    yield "storage-under-two-types", named(w=tensor(), v=tensor(kind=name("torch", "DoubleStorage"), size=number(2)))


def bombs():
    """Little that makes much: sharing, nesting, the memo."""
    for word, begin, step in [("list", b"]", b"a"), ("tuple", b")", b"\x85")]:
        yield f"nested-{word}s", around(b"]" * 100_000 + b"a" * 99_999 if step == b"a" else begin + step * 300_000)
    yield "nested-dicts", text("a").join([b"}"] * 60_000) + b"s" * 59_999
    yield "nested-dicts-of-tensors", b"}" + (text("a") + b"}") * 10_000 + text("w") + tensor() + b"s" * 10_001
    yield "nested-calls", around(name("a", "B") * 30_000 + b")" + b"R" * 30_000)
    yield "nested-states", around((name("a", "B") + b")\x81") * 20_000 + b"}" + b"b" * 20_000)
    yield "nested-marks", around(b"(" * 50_000 + number(1) + b"t" * 50_000)
    yield "dup-bomb", around(b"(" + number(1) + b"2" * 500_000 + b"t")
    yield "dup-laughs", around(b"N" + b"2\x86" * 200)
    for word, make in [("list", lambda last: many(*[last] * 10)), ("tuple", lambda last: sequence(*[last] * 10)), ("dict", lambda last: table(*((text(str(key)), last) for key in range(10))))]:
        root = text("ha" * 50) + put(0)
        for level in range(1, 60):
            root += make(get(level - 1)) + put(level)
        yield f"laughs-{word}", around(b"(" + root + b"l")
        root = tensor() + put(0)
        for level in range(1, 30):
            root += make(get(level - 1)) + put(level)
        yield f"laughs-of-tensors-{word}", named(zero=b"(" + root + b"t", model=get(29))
    long = text("k" * 5_000) + put(0)
    nested = b"}" + long + b"}" + (get(0) + b"}") * 58
    leaves = b"".join(text(f"{key:x}") + (tensor() + put(1) if key == 0 else get(1)) for key in range(20_000))
    yield "long-prefixes", b"}" + text("w") + tensor() + b"s" + nested[1:] + b"(" + leaves + b"u" + b"s" * 59
    many_dims = tensor((1,) * 5_000, (1,) * 5_000) + put(1)
    yield "one-tensor-of-many-dims", b"}(" + b"".join(text(f"{key:x}") + (many_dims if key == 0 else get(1)) for key in range(20_000)) + b"u"
    yield "one-tensor-50000-times", b"}(" + b"".join(text(f"{key:x}") + (tensor() + put(1) if key == 0 else get(1)) for key in range(50_000)) + b"u"
    dims = "".join(f"d{part}." for part in range(3_000))
    yield "keys-of-many-segments", b"}(" + text(dims + "w") + tensor() + put(1) + b"".join(text(f"{key}.{dims}") + get(1) for key in range(30)) + b"u"
    big = text("v" * 50_000) + put(0)
    yield "one-text-20000-times", named(state_dict=named(w=tensor()), hyper_parameters=b"}(" + b"".join(text(f"{key:x}") + (big if key == 0 else get(0)) for key in range(20_000)) + b"u")
    yield "one-key-text-in-20000-dicts", named(state_dict=named(w=tensor()), extra=many(*[table((big if key == 0 else get(0), number(1))) for key in range(20_000)]))
    yield "same-key-again-and-again", b"}(" + b"".join(text("w") + b"N" for _ in range(50_000)) + b"u"
    groups = many(*[named(params=many(*map(number, range(200)))) for _ in range(200)])
    yield "groups", named(state_dict=named(w=tensor()), optimizer_states=many(*[named(state=named(), param_groups=groups) for _ in range(3)]))
    groups = named(params=many(*map(number, range(5_000)))) + put(3)
    yield "one-group-5000-times", named(state_dict=named(w=tensor()), optimizer=named(state=named(), param_groups=many(groups, *[get(3)] * 5_000)))
    yield "memo-huge-index", around(number(1) + b"r" + struct.pack("<I", 2**32 - 1))
    yield "memo-text-index", around(number(1) + b"p" + b"9" * 1_000 + b"\n")
    yield "memo-sparse", around(b"".join(number(1) + b"r" + struct.pack("<I", index * 40_000) + b"0" for index in range(60_000)) + number(1))
    yield "memo-of-nothing", around(get(77))
    yield "memo-negative", around(number(1) + b"p-1\n")
    yield "dict-with-itself-as-a-value", named(w=tensor()) + put(0) + text("self") + get(0) + b"s"
    yield "dict-with-itself-as-a-key", b"}" + put(0) + get(0) + number(1) + b"s"
    yield "list-with-itself", around(b"]" + put(0) + get(0) + b"a")
    yield "tuple-with-itself", around(b"]" + put(0) + get(0) + b"\x85" + put(1) + b"a0" + get(1))
    yield "dicts-in-a-ring", b"}" + put(0) + text("a") + b"}" + put(1) + text("b") + get(0) + b"s" + text("w") + tensor() + b"s" + b"s"
    for depth, width in [(8, 4), (12, 2), (20, 2), (64, 2)]:
        yield f"dict-tree-{depth}", laughing_dicts(depth, width)


def laughing_dicts(depth: int, width: int) -> bytes:
    """Dicts in dicts, each held `width` times by the one above: 2^depth ways to one tensor."""
    root = named(w=tensor()) + put(0)
    for level in range(1, depth):
        again = [(text(chr(98 + key)), get(level - 1)) for key in range(width - 1)]
        root = table((text("a"), root), *again) + put(level)
    return root


def damaged(seed: int):
    """Good files with bytes cut off, turned and exchanged."""
    rng = random.Random(seed)
    good = pickle(around(call(name("os", "system"), text(COMMAND))))
    for index in range(40):
        yield f"cut-{index}", good[: rng.randrange(len(good))]
    for index in range(120):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 8])):
            bad[rng.randrange(2, len(bad))] = rng.choice([rng.randrange(256), rng.choice(b"R0(tbcio\x81\x82\x92\x93}uQh2")])
        yield f"turned-{index}", bytes(bad)
    for index in range(40):
        noise = bytes(rng.choice(b"()]}tlda0eus2Rbcq\x00h\x00K\x01N.\x85\x86\x87\x81\x93\x94Q") for _ in range(rng.randrange(1, 200)))
        yield f"noise-{index}", b"\x80\x02" + noise


def files(seed: int):
    """All of them: a name, and the bytes of the file."""
    groups = [("names", names()), ("positions", positions()), ("opcodes", opcodes()), ("ids", identifiers()), ("geometry", geometry()), ("bombs", bombs())]
    for group, cases in groups:
        for word, root in cases:
            protocol = 4 if b"\x93" in root and group == "names" else 2
            yield f"{group}-{word}.pt", archive(pickle(root, protocol))
            # In the legacy container the same, but for names, of which every third will do.
            if group != "names" or hash_of(word) % 3 == 0:
                yield f"{group}-{word}-legacy.pt", legacy(pickle(view(root), protocol))
    for word, whole in damaged(seed):
        yield f"damaged-{word}.pt", archive(whole)
        yield f"damaged-{word}-legacy.pt", legacy(view(whole))
    yield from containers(seed)


def hash_of(word: str) -> int:
    return sum(word.encode())


def containers(seed: int):
    """What stands around the pickle."""
    rng = random.Random(seed)
    good = pickle(named(w=tensor()))
    harm = call(name("os", "system"), text(COMMAND))
    yield "zip-bomb-pickle.pt", archive(pickle(around(b"B" + struct.pack("<I", 300 << 20) + b"\0" * (300 << 20))), method=8)
    yield "zip-bomb-storage.pt", archive(good, {"data/0": FLOATS["data/0"], "data/1": b"\0" * (128 << 20)}, method=8)
    yield "zip-nested.pt", archive(good, more=[("archive/inner.zip", archive(pickle(harm)))])
    yield "zip-second-pickle.pt", archive(good, more=[("archive/code/data.pkl", pickle(harm))])
    yield "zip-hidden-pickle.pt", archive(good, more=[("archive/.data/serialization_id", pickle(harm))])
    for index, path in enumerate(["../x", "/x", "archive/../../x", "archive//x", "other/x", "x", "archive/a\\b", "archive/."]):
        yield f"zip-name-{index}.pt", archive(good, more=[(path, b"x")])
    yield "zip-20000-records.pt", archive(good, more=[(f"archive/{index:x}", b"") for index in range(8_000)])
    yield "zip-torchscript.pt", archive(good, more=[("archive/constants.pkl", pickle(harm))])
    yield "zip-big-endian.pt", archive(good, {**FLOATS, "byteorder": b"big"})
    whole = archive(good)
    for index in range(30):
        bad = bytearray(whole)
        for _ in range(rng.choice([1, 2, 6])):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        yield f"zip-turned-{index}.pt", bytes(bad)
    for index in range(10):
        yield f"zip-cut-{index}.pt", whole[: rng.randrange(4, len(whole))]
    old = pickle(view(named(w=tensor())))
    yield "legacy-description-calls.pt", legacy(old, description=named(little_endian=b"\x88", a=harm))
    yield "legacy-description-pops.pt", legacy(old, description=harm + b"0" + named(little_endian=b"\x88"))
    yield "legacy-description-id.pt", legacy(old, description=named(little_endian=b"\x88", a=storage()))
    yield "legacy-big-endian.pt", legacy(old, description=named(little_endian=b"\x89"))
    yield "legacy-no-keys.pt", legacy(old, keys=())
    yield "legacy-keys-twice.pt", legacy(old, keys=("0", "0"))
    yield "legacy-other-keys.pt", legacy(old, keys=("../0",))
    for count in [0, 3, 5, 2**62, 2**63 - 1, -1]:
        yield f"legacy-count-{count:x}.pt", legacy(old, body=struct.pack("<q", count) + FLOATS["data/0"])
    yield "legacy-cut.pt", legacy(old)[:-3]
    yield "legacy-junk.pt", legacy(old) + b"junk"
    for index, (offset, size) in enumerate([(0, 4), (-1, 4), (2, 4), (2**63 - 1, 2), (2, 2**64 - 1)]):
        part = named(w=tensor(more=[sequence(text("v"), number(offset), number(size))]))
        yield f"legacy-view-{index}.pt", legacy(pickle(part))
    source = sequence(text("module"), name("os", "system"), text("f.py"), text("import os; os.system('touch executed')")) + b"Q"
    yield "legacy-module.pt", legacy(pickle(view(named(w=tensor(), net=source + b")\x81" + named(a=number(1)) + b"b"))))
    yield "tar.pt", b"storages".ljust(257, b"\0") + b"ustar" + b"\0" * 250
    yield "plain-pickle.pt", pickle(harm)
