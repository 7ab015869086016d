"""What the tool prints for machines is what docs/schema says, by a validator of JSON Schema."""

import json
import shutil

import pytest
import torch
import yaml
from conftest import EXAMPLE, REPOSITORY
from jsonschema import Draft202012Validator

SCHEMAS = {
    name: json.loads((REPOSITORY / "docs" / "schema" / f"{name}.schema.json").read_text())
    for name in ("plan", "report", "keys")
}

# Every operation on tensors that there is, and every kind of statement that leaves something in a plan.
EVERYTHING = """
rename a -> renamed
merge {q,k}.w -> qk.w dim 0
split both -> {left,right} dim 0
reshape wide to [4, 2]
permute cube dims [2, 0, 1]
flip turned dim 0
cast half to bf16
scale scaled by 2.5
offset shifted by -1
interpolate grid dims [0, 1] to [4, 4] mode bicubic
compute sum = sum * sum + extra
copy one -> two
fill zeros value 0 shape [2, 2] dtype f32
fill far value inf shape [1] dtype f32
fill steps value arange shape [3] dtype i64
fill unit value eye shape [2, 2] dtype f32
assert one value 1
unify r{r}.norm -> norm over r
drop gone
"""


def problems(schema, value):
    found = Draft202012Validator(SCHEMAS[schema]).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in found]


def holds(schema, text):
    value = json.loads(text)
    assert problems(schema, value) == []
    return value


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_what_two_schemas_share_is_the_same():
    shared = [SCHEMAS[name]["$defs"] for name in ("plan", "report")]
    for name in ("finding", "already", "failure"):
        assert shared[0][name] == shared[1][name]


@pytest.fixture
def example(tmp_path):
    """The shipped example: a Lightning checkpoint with an optimizer."""
    for path in EXAMPLE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return ["--rules", "v1_to_v2.rules", "v1.ckpt"]


def test_plan_and_report_of_the_example(migrate, example):
    plan = holds("plan", migrate("plan", "--json", *example).out)
    assert plan["dicts"][0]["counts"]["renamed"] > 0
    assert holds("plan", migrate(*example, "-o", "new.ckpt", "--dry-run", "--json").out) == plan
    report = holds("report", migrate(*example, "-o", "new.ckpt", "--json").out)
    assert report["outputs"][0]["path"] == "new.ckpt"
    failed = holds("report", migrate(*example, "-o", "new.ckpt", "--json", expect=2).out)
    assert failed["problems"][0]["code"] == "output-exists"
    again = ["--rules", "v1_to_v2.rules", "new.ckpt"]
    assert holds("plan", migrate("plan", "--json", *again).out)["already_migrated"]
    assert holds("report", migrate(*again, "-o", "x.ckpt", "--json").out)["already_migrated"]


def test_several_checkpoints(migrate, example, tmp_path):
    shutil.copy(tmp_path / "v1.ckpt", tmp_path / "again.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"no checkpoint")
    migrate(*example, "-o", "done.ckpt")
    job = [*example, "again.ckpt", "done.ckpt", "--out-dir", "out", "--json"]
    planned = holds("report", migrate(*job, "--dry-run").out)
    assert planned["counts"]["planned"] == 2
    assert problems("plan", planned["files"][0]["plan"]) == []
    report = holds("report", migrate(*job, "broken.ckpt", "--jobs", "2", expect=3).out)
    found = {file["input"]: (file["outcome"], file["exit"]) for file in report["files"]}
    assert found == {
        "v1.ckpt": ("migrated", 0),
        "again.ckpt": ("migrated", 0),
        "done.ckpt": ("already_migrated", 0),
        "broken.ckpt": ("failed", 3),
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["again.ckpt", "v1.ckpt"]
    stopped = holds("report", migrate(*example[:2], "broken.ckpt", *job[2:], "--fail-fast", expect=3).out)
    assert stopped["counts"]["not_run"] == 3


def test_every_operation(migrate, rules, tmp_path):
    ones = {key: torch.ones(2) for key in ("one", "r0.norm", "r1.norm")}
    shapes = {
        "a": [1], "q.w": [1, 2], "k.w": [1, 2], "both": [4], "wide": [8], "cube": [2, 3, 4], "flat": [2, 3],
        "turned": [3], "half": [2], "scaled": [2], "shifted": [2], "grid": [2, 2], "sum": [2], "extra": [2], "gone": [1],
    }  # fmt: skip
    tensors = {key: torch.zeros(shape) for key, shape in shapes.items()}
    torch.save({"epoch": 1, "state_dict": tensors | ones}, tmp_path / "a.ckpt")
    job = ["--rules", rules("set epoch = 2\n" + EVERYTHING), "a.ckpt", "--no-target"]
    plan = holds("plan", migrate("plan", "--json", *job).out)

    def operations(value):
        if isinstance(value, dict):
            yield value["op"]
            for operand in value.get("of", []):
                yield from operations(operand)

    found = {op for output in plan["dicts"][0]["outputs"] for op in operations(output["from"])}
    known = SCHEMAS["plan"]["$defs"]["expression"]["anyOf"][1:]
    assert found == {one["properties"]["op"]["const"] for one in known}
    assert plan["values"] and plan["dicts"][0]["unproved"] and len(plan["dicts"][0]["assertions"]) == 2
    holds("report", migrate(*job, "-o", "b.ckpt", "--json").out)


def test_findings_with_places(migrate, rules, example):
    wrong = rules("rename nothing.* -> x.*\ndrop model.nowhere\n", "wrong.rules")
    failed = holds("plan", migrate("plan", "--json", "--rules", wrong, "v1.ckpt", "--no-target", expect=1).out)
    assert failed["problems"][0]["places"][0]["line"] == 1
    bad = rules("rname a -> b\n", "bad.rules")
    holds("plan", migrate("plan", "--json", "--rules", bad, "v1.ckpt", "--no-target", expect=2).out)


def test_key_sets(migrate, example, tmp_path):
    migrate("keys", "v1.ckpt", "-o", "own.keys.yaml")
    found = [tmp_path / "own.keys.yaml", *REPOSITORY.glob("rules/**/*.keys.yaml")]
    assert len(found) > 1
    for path in found:
        assert problems("keys", yaml.safe_load(path.read_text())) == [], path


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ("f32 []", True),
        ("bf16 [64, 3]", True),
        ("f32[2] buffer", True),
        ("f32 [10, 4] parameter tied embed.weight", True),
        ("f32 [10, 4] tied a key with spaces", True),
        ("object", True),
        ("float32 [1]", False),
        ("f32", False),
        ("f32 [-1]", False),
        ("f32 [1] bufer", False),
        ("f32 [1", False),
    ],
)
def test_the_schema_of_key_sets_takes_what_the_tool_takes(migrate, tmp_path, spec, fits):
    tensors = {"k": spec}
    if "tied" in spec:
        tensors[spec.partition("tied ")[2]] = "f32 [10, 4]"
    value = {"format": 1, "tensors": tensors}
    (tmp_path / "a.keys.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    assert (problems("keys", value) == []) == fits
    migrate("keys", "a.keys.yaml", expect=0 if fits else 3)
