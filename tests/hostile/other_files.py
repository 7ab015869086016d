"""Malicious safetensors files, indexes, rule files, key sets and texts of errors."""

import json
import random
import struct


def safetensors(header, body=b"\0" * 16, length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(shape=(4,), offsets=(0, 16), dtype="F32") -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def headers(seed: int):
    yield "good", safetensors({"w": entry()})
    for length in [0, 1, 7, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, 100_000_000, 100_000_001]:
        yield f"length-{length:x}", safetensors({"w": entry()}, length=length)
    for word, offsets in [("reversed", (16, 0)), ("beyond", (0, 32)), ("hole", (8, 24)), ("short", (0, 8)), ("huge", (0, 2**64 - 1)), ("overflow", (2**64 - 16, 2**64)), ("negative", (-16, 0)), ("float", (0.0, 16.0))]:
        yield f"offsets-{word}", safetensors({"w": entry(offsets=offsets)})
    for word, shape in [("product", (2**32, 2**32)), ("bytes", (2**62,)), ("negative", (-4,)), ("one-too-many", (5,)), ("none", (2**63, 2**63, 0)), ("text", ("4",)), ("dims-100000", (1,) * 100_000), ("dims-64", (4,) + (1,) * 63), ("scalar", ())]:
        yield f"shape-{word}", safetensors({"w": entry(shape)})
    for dtype in ["F128", "", "os.system", "F32\0", "x" * 100_000, "f32", None, 7]:
        yield f"dtype-{str(dtype)[:8]!r}".replace("'", "").replace("\\x00", "0"), safetensors({"w": entry(dtype=dtype)})
    yield "overlap", safetensors({"w": entry(), "v": entry((2,), (8, 16))})
    yield "same-bytes", safetensors({"w": entry(), "v": entry()})
    yield "key-twice", safetensors(b'{"w":%s,"w":%s}' % ((json.dumps(entry()).encode(),) * 2))
    yield "metadata-twice", safetensors(b'{"__metadata__":{},"__metadata__":{},"w":%s}' % json.dumps(entry()).encode())
    yield "metadata-of-numbers", safetensors({"__metadata__": {"a": 1}, "w": entry()})
    yield "metadata-nested", safetensors({"__metadata__": {"a": {"b": "c"}}, "w": entry()})
    yield "metadata-hostile", safetensors({"__metadata__": {"\x1b[2J": "\u202e\n\0" * 1000, "migrate": '{"format":1,"steps":[' * 1000}, "w": entry()})
    yield "migrate-record-deep", safetensors({"__metadata__": {"migrate": "[" * 100_000}, "w": entry()})
    yield "key-empty", safetensors({"": entry()})
    yield "key-controls", safetensors({"a\x1b]0;x\x07\n\r\0\u202e": entry()})
    yield "key-of-400000", safetensors({"k" * 400_000: entry()})
    yield "key-of-dots", safetensors({"." * 200_000: entry()})
    yield "key-metadata-like", safetensors({"__metadata__ ": entry()})
    yield "keys-9000", safetensors({f"layer.{index}.w": entry((0,), (0, 0)) for index in range(9_000)}, b"")
    yield "keys-that-nest", safetensors({"a." * index + "w": entry((0,), (0, 0)) for index in range(600)}, b"")
    yield "keys-alike", safetensors({f"{'ab'[index & 1]}{index % 97}.{index % 89}.{index}": entry((0,), (0, 0)) for index in range(4_000)}, b"")
    yield "long-key-among-short", safetensors({"k" * 200_000: entry((0,), (0, 0))} | {f"{index}": entry((0,), (0, 0)) for index in range(3_000)}, b"")
    for word, text in [("array", b"[" * 200_000), ("object", b'{"a":' * 100_000), ("number", b'{"w":' + b"9" * 300_000 + b"}"), ("exponent", b'{"w":1e999999999}'), ("utf8", b'{"\xff":1}'), ("surrogate", b'{"\\ud800":1}'), ("spaces", b" " * 300_000 + b"{}"), ("nothing", b""), ("null", b"null"), ("open", b'{"w":{"dtype":"F32"'), ("junk", b'{}{}'), ("comment", b"/**/{}"), ("extra", json.dumps({"w": entry() | {"x": [[[]]] * 1000}}).encode()), ("deep-in-a-tensor", b'{"w":{"dtype":"F32","shape":' + b"[" * 50_000)]:
        yield f"json-{word}", safetensors(text)
    rng = random.Random(seed)
    good = safetensors({"__metadata__": {"format": "pt"}, "w": entry(), "v": entry((2, 2), (16, 32))}, b"\0" * 32)
    for index in range(60):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 2, 4])):
            bad[rng.randrange(len(bad) - 32)] = rng.randrange(256)
        yield f"turned-{index}", bytes(bad)
    for index in range(10):
        yield f"cut-{index}", good[: rng.randrange(len(good))]


def index(weight_map, metadata=None) -> bytes:
    return json.dumps({"metadata": metadata or {}, "weight_map": weight_map}).encode()


def indexes():
    """Folders: an index, and a shard beside it that is good."""
    shard = "model-00001-of-00002.safetensors"
    names = ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", "a\\b", "", ".", "..", "x\0y", "model.safetensors.index.json", "nowhere.safetensors", "~/x", "file:///etc/passwd", "https://example.invalid/x", "con", "\u202e", "x" * 5_000]
    for number, name in enumerate(names):
        yield f"name-{number}", index({"w": shard, "v": name})
    yield "good", index({"w": shard})
    yield "another-key", index({"v": shard})
    yield "not-all-keys", index({})
    yield "many-shards", index({f"{number}": f"model-{number:05}.safetensors" for number in range(5_000)})
    yield "key-twice", b'{"weight_map":{"w":"%s","w":"x.safetensors"}}' % shard.encode()
    yield "value-is-a-number", b'{"weight_map":{"w":1}}'
    yield "value-is-an-object", b'{"weight_map":{"w":{"weight_map":{}}}}'
    yield "deep", b'{"metadata":' + b"[" * 100_000
    yield "deep-objects", b'{"metadata":' + b'{"a":' * 100_000
    yield "wide", b'{"metadata":{"a":[' + b"0," * 100_000 + b'0]},"weight_map":{"w":"%s"}}' % shard.encode()
    yield "sizes", index({"w": shard}, {"total_size": 2**64, "total_parameters": -1})
    yield "huge-number", b'{"metadata":{"total_size":' + b"9" * 100_000 + b'},"weight_map":{"w":"%s"}}' % shard.encode()
    yield "not-utf8", b'{"weight_map":{"\xff":"x"}}'
    yield "empty", b""
    yield "text", b"version https://git-lfs.github.com/spec/v1\n"


def rules():
    yield "good", "rename? w -> weight\n"
    yield "traversal", 'include "../../../../etc/passwd"\n'
    yield "absolute", 'include "/etc/passwd"\n'
    yield "itself", 'include "itself.rules"\n'
    yield "device", 'include "/dev/zero"\n'
    yield "use-a-path", "use ../../etc/passwd\n"
    for word, text in [("brackets", "rename " + "{" * 100_000), ("parens", "fill w value " + "(" * 100_000 + "1" + ")" * 100_000), ("blocks", "under a {\n" * 20_000), ("lists", "rename " + "{a," * 50_000), ("minus", "fill w value " + "-" * 200_000 + "1"), ("powers", "let n = " + "9*" * 50_000 + "9"), ("plus", "compute w = " + "w + " * 50_000 + "w"), ("stars", "drop " + "**." * 30_000 + "w"), ("segments", "drop " + "a." * 100_000 + "w"), ("quotes", 'drop "' + "a" * 500_000), ("commas", "drop " + ",".join(["w"] * 50_000))]:
        yield f"deep-{word}", text + "\n"
    yield "numbers", "let n = 9223372036854775807\nlet m = n * n\nlet k = n + 1\nrename? {i}.w -> {i+9223372036854775807}.w\n"
    yield "negative-minimum", "let n = -9223372036854775808\nlet m = -n\nlet k = n // -1\nlet j = n % -1\n"
    yield "divide-by-zero", "let n = 1 // 0\nlet m = 1 % 0\nlet k = 1 / 0\n"
    yield "range-huge", "rename? {i:0..9223372036854775807}.w -> {i}.v\n"
    yield "fill-huge", "fill new value 0 shape [1000000000000000000, 1000000000] dtype f32\n"
    yield "fill-large", "fill new value 0 shape [4000000000000] dtype f32\n"
    yield "pad-huge", "pad w to [9223372036854775807] value 0\n"
    yield "repeat-huge", "repeat w by [9223372036854775807]\n"
    yield "reshape-overflow", "reshape w to [9223372036854775807, 9223372036854775807, 0]\n"
    yield "reshape-many", "reshape w to [" + "1, " * 50_000 + "4]\n"
    yield "split-into-many", "split w -> part.{e}.w over e into 1000000000 dim 0\n"
    yield "copy-into-many", "copy w -> part.{e}.w over e into 1000000000\n"
    yield "interpolate-huge", "interpolate w dims [0] to [9223372036854775807] mode linear\n"
    yield "slice-huge", "slice w at [-9223372036854775808:9223372036854775807:9223372036854775807]\n"
    yield "select-many", "select w at [" + "0, " * 100_000 + "0] dim 0\n"
    yield "regex-nested", "drop /(((((a{1,1000}){1,1000}){1,1000})))/\n"
    yield "regex-backtracks", "drop? /(a|aa)+(a|aa)+(a|aa)+b/\n"
    yield "regex-large", "drop? /[\\p{L}]{1,100000}/\n"
    yield "alternatives", "rename? {" + "|".join(f"a{number}" for number in range(20_000)) + "}.w -> x.w\n"
    yield "alternatives-of-alternatives", "rename? " + ".".join("{a|b}" for _ in range(100)) + " -> x\n"
    yield "lists-of-lists", "split w -> " + ".".join("{a,b}" for _ in range(40)) + " dim 0\n"
    yield "einops-deep", 'rearrange w by "' + "(" * 50_000 + 'a" with a=1\n'
    yield "einops-many", 'rearrange w by "' + " ".join(f"a{number}" for number in range(20_000)) + ' -> x"\n'
    yield "set-deep", "set a = " + "[" * 100_000 + "\n"
    yield "set-path", "set " + ".".join(["a"] * 50_000) + " = 1\n"
    yield "controls", "rename \x1b[2J\u202e -> \0\n"
    yield "errors-10000", "renam a -> b\n" * 10_000
    yield "long-line", "# " + "x" * 900_000 + "\n"
    yield "names", "".join(f"let n{number} = n{number - 1} * 2\n" if number else "let n0 = 1\n" for number in range(3_000))
    yield "names-that-double", "".join(f'let n{number} = [n{number - 1}, n{number - 1}]\n' if number else "let n0 = [1, 1]\n" for number in range(60))


def raw_rules():
    yield "not-utf8", b"rename \xff -> a\n"
    yield "nul", b"\0" * 10_000
    yield "a-zip", b"PK\x03\x04" + b"\0" * 1000
    yield "carriage-returns", b"drop a\r\r\r\n" * 1000


def key_sets():
    head = "format: 1\ntensors:\n"
    yield "good", head + "  w: f32 [4]\n"
    laughs = "".join(f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 10 if level else ["x"] * 10) + "]\n" for level in range(12))
    yield "laughs", laughs + head + "  w: *a11\n"
    yield "laughs-below-tensors", head + "".join(f"  k{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * 10 if level else ["x"] * 10) + "]\n" for level in range(12))
    yield "laughs-of-maps", head + "".join(f"  k{level}: &a{level} {{" + ", ".join(f"{key}: *a{level - 1}" if level else f"{key}: x" for key in range(10)) + "}\n" for level in range(12))
    yield "one-spec-20000-times", head + "  k: &a f32 [" + "1, " * 60 + "1]\n" + "".join(f"  k{number}: *a\n" for number in range(20_000))
    yield "one-long-spec-20000-times", head + "  k: &a f32 [" + "1, " * 50_000 + "1]\n" + "".join(f"  k{number}: *a\n" for number in range(20_000))
    yield "one-tie-20000-times", head + "  w: f32 [1]\n  k: &a f32 [1] tied " + "w" * 50_000 + "\n" + "".join(f"  k{number}: *a\n" for number in range(20_000))
    yield "alias-as-a-key", head + "  ? &a w\n  : f32 [1]\n  *a : f32 [1]\n"
    yield "alias-of-nothing", head + "  w: *nowhere\n"
    yield "alias-of-itself", head + "  w: &a [*a]\n"
    yield "merge-keys", "x: &x {a: f32 [1]}\n" + head + "  <<: *x\n"
    for word, text in [("brackets", "[" * 100_000), ("maps", "{a: " * 50_000), ("dashes", "- " * 50_000), ("question", "? " * 50_000), ("indents", "".join(" " * level + "a:\n" for level in range(1_000))), ("quotes", '"' * 99_999), ("anchors", "&a " * 50_000), ("tags", "!!a " * 50_000)]:
        yield f"deep-{word}", head + "  w: " + text + "\n"
        yield f"root-{word}", text + "\n"
    for word, spec in [("product", "f32 [18446744073709551615, 2]"), ("overflow", "f32 [99999999999999999999]"), ("negative", "f32 [-1]"), ("bytes", "f64 [4611686018427387904]"), ("dtype", "os.system [1]"), ("open", "f32 [1"), ("rest", "f32 [1] buffer parameter tied x"), ("tag", "!!python/object/apply:os.system ['touch executed']"), ("binary", "!!binary aGVsbG8="), ("itself", "f32 [1] tied w")]:
        yield f"spec-{word}", head + f"  w: {spec}\n"
    yield "python-tag", "!!python/object/apply:os.system ['touch executed']\n" + head
    yield "documents", (head + "  w: f32 [1]\n---\n") * 1_000
    yield "twice", head + "  w: f32 [1]\n  w: f32 [2]\n"
    yield "key-of-500000", head + f"  {'k' * 500_000}: f32 [1]\n"
    yield "keys-20000", head + "".join(f"  k{number}: f32 [1]\n" for number in range(20_000))
    yield "controls", head + '  "a\\e[2J\\u202E\\0": f32 [1]\n'
    yield "format-huge", "format: 99999999999999999999\ntensors:\n  w: f32 [1]\n"
    yield "tabs", "format:\t1\n\ttensors:\n"


def errors():
    start = "RuntimeError: Error(s) in loading state_dict for Net:\n"
    yield "good", start + '\tMissing key(s) in state_dict: "v". \n\tUnexpected key(s) in state_dict: "w". \n'
    yield "keys-40000", start + "\tMissing key(s) in state_dict: " + ", ".join(f'"layer.{number}.w"' for number in range(40_000)) + ".\n"
    yield "one-key-60000-times", start + "\tMissing key(s) in state_dict: " + ", ".join(['"w2"'] * 60_000) + ".\n"
    yield "parts-20000", start + "\tMissing key(s) in state_dict: " * 20_000
    yield "shapes-5000", start + "".join(f"\tsize mismatch for w{number}: copying a param with shape torch.Size([1]) from checkpoint, the shape in current model is torch.Size([2]).\n" for number in range(5_000))
    yield "shape-huge", start + "\tsize mismatch for w: copying a param with shape torch.Size([99999999999999999999]) from checkpoint, the shape in current model is torch.Size([18446744073709551615, 2]).\n"
    yield "shape-of-many-dims", start + "\tsize mismatch for w: copying a param with shape torch.Size([4]) from checkpoint, the shape in current model is torch.Size([" + "1, " * 100_000 + "1]).\n"
    yield "quote-open", start + '\tMissing key(s) in state_dict: "' + "a" * 500_000
    yield "spaces", start + "\tMissing key(s) in state_dict:" + " " * 500_000 + '"a"\n'
    yield "mismatch-open", start + "\tsize mismatch for " + "w" * 300_000 + ":" + " \n" * 100_000
    yield "more-huge", start + '\tMissing key(s) in state_dict: "a" (... and 99999999999999999999 more)\n'
    yield "more-added", (start + '\tMissing key(s) in state_dict: "a" (... and 18446744073709551615 more)\n') * 3
    yield "borders", "│" * 100_000 + start
    yield "controls", start + '\tMissing key(s) in state_dict: "a\x1b[2J\u202e". \n'


def configurations():
    yield "deep", "[" * 100_000
    yield "deep-objects", '{"a":' * 100_000
    yield "wide", '{"a":[' + "0," * 200_000 + "0]}"
    yield "number", '{"hidden_size":' + "9" * 100_000 + "}"
    yield "long-names", "{" + ",".join(f'"{"k" * 40_000}{number}":{{"a":1}}' for number in range(20)) + "}"
    yield "nested-long-names", ('{"' + "k" * 5_000 + '":') * 100 + "1" + "}" * 100


def files(seed: int):
    """All of them: a name, and the bytes of the file."""
    for word, content in headers(seed):
        yield f"header-{word}.safetensors", content
    good = safetensors({"w": entry()})
    for word, content in indexes():
        yield f"index-{word}/model.safetensors.index.json", content
        yield f"index-{word}/model-00001-of-00002.safetensors", good
    yield "secret.safetensors", good
    for word, text in rules():
        yield f"rules-{word}/{word}.rules", text.encode()
    for word, content in raw_rules():
        yield f"rules-raw-{word}/{word}.rules", content
    for word, text in key_sets():
        yield f"keys-{word}.yaml", text.encode()
    for word, text in errors():
        yield f"error-{word}.txt", text.encode()
    for word, text in configurations():
        yield f"config-{word}.json", text.encode()
