"""Input from a stranger: refused in one line, in seconds, in bounded memory; nothing of it is executed.

Where several things are wrong there is a line for each, at most a screen. An input is a kind of damage at a
place. Most are given to the code behind the command line in a forked child with limits (``server.py``), a few
to the command itself. Every nineteenth is in the fast suite.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save

from netmend.agents.policy import action_digest
from netmend.env.observation import slot_names
from netmend.env.training.store import TrialStore
from netmend.repair_actions import CATALOGUE

CPU, MEMORY = 5.0, 1_000_000_000
EXECUTED = "executed"
TOUCH = f"touch {EXECUTED}"
BUG = """\
netmend: 1
program:
  data: {dataset: iris, labels: index}
  layers:
    - dense: {units: 8, activation: sigmoid}
    - dense: {units: 3}
  loss: cross_entropy
  optimizer: {kind: sgd, lr: 10.0}
"""
TRAIN = [
    "bugs=tiny",
    "agent=ppo",
    "training.steps=16",
    "imitation.lessons=0",
    "training.workers=1",
    "training.store=null",
    "hydra.run.dir=run",
]
Make = Callable[[Path], list[str]]


class Executes:
    """What a pickle runs when it is loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (TOUCH,)


@dataclass(frozen=True)
class Input:
    """A hostile input: how it is made in an empty folder, and the door that its words go through."""

    name: str
    door: str
    make: Make


# Texts that stand where a YAML file is wanted.

NESTED = 100_000
TEXTS: dict[str, str | bytes] = {
    "lists": "[" * NESTED,
    "mappings": "{a: " * NESTED,
    "dashes": "- " * NESTED,
    "questions": "? " * NESTED,
    "aliases": "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 12))]),
    "merges": "\n".join(
        ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 9}]}}" for i in range(1, 12))]
    ),
    "python": f"!!python/object/apply:os.system ['{TOUCH}']",
    "python_inside": f"netmend: 1\nbugs: !!python/object/apply:os.system ['{TOUCH}']",
    "number": "netmend: " + "1" * 400,
    "digits": "a: " + "1" * 5000,
    "control": "a: \x01",
    "binary": bytes(range(256)),
    "pickle": pickle.dumps(Executes()),
    "utf16": "netmend: 1".encode("utf-16"),
    "latin1": "netmend: é".encode("latin-1"),
    "list": "[1, 2]",
    "word": "word",
    "twice": "netmend: 1\nnetmend: 1",
    "hydra": f"hydra: {{job_logging: {{handlers: {{a: {{'()': os.system, command: {TOUCH}}}}}}}}}",
    "directives": "%TAG !a! tag:x\n" * 100_000,
    "key": "k" * 100_000 + ": 1",
    "many": "[" + "0," * 4_000_000 + "]",
    "large": b"#" * 30_000_000,
}


def fifo(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5_000_000_000)


FORMS: dict[str, Callable[[Path], None]] = {
    "fifo": fifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "sparse": sparse,
    "folder": lambda path: path.mkdir(),
    "circle": lambda path: path.symlink_to(path.name),
}
"""What may lie where a file is wanted."""


def damaged(path: Path, kind: str) -> None:
    """Put a text or another form in the place of a file."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind in FORMS:
        FORMS[kind](path)
    else:
        text = TEXTS[kind]
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


# Places of YAML files.


def group(folder: Path, kind: str) -> list[str]:
    (folder / "groups" / "agent").mkdir(parents=True)
    damaged(folder / "groups" / "agent" / "own.yaml", kind)
    return ["train", *TRAIN, "--config-dir", "groups", "agent=own"]


def bug_file(folder: Path, kind: str) -> list[str]:
    damaged(folder / "bug.yaml", kind)
    return ["./bug.yaml"]


def in_suite(name: str) -> Callable[[Path, str], list[str]]:
    def make(folder: Path, kind: str) -> list[str]:
        suite = folder / "suite"
        suite.mkdir()
        (suite / "good.yaml").write_text(BUG)
        damaged(suite / name, kind)
        return [str(suite)]

    return make


def in_run(name: str) -> Callable[[Path, str], list[str]]:
    def make(folder: Path, kind: str) -> list[str]:
        run = folder / "run"
        shutil.copytree(os.environ["HOSTILE_RUN"], run)
        damaged(next(run.glob(name)), kind)
        return [str(run)]

    return make


def in_policy(name: str) -> Callable[[Path, str], list[str]]:
    def make(folder: Path, kind: str) -> list[str]:
        write_policy(folder, description(), weights())
        damaged(folder / name, kind)
        return [str(folder)]

    return make


PLACES: dict[str, tuple[str, Callable[[Path, str], list[str]]]] = {
    "bug": ("bug", bug_file),
    "suite_file": ("suite", bug_file),
    "bug_of_suite": ("suite", in_suite("bad.yaml")),
    "about_suite": ("suite", in_suite("suite.yaml")),
    "measured": ("suite", in_suite("measured.yaml")),
    "policy": ("policy", in_policy("policy.yaml")),
    "weights": ("policy", in_policy("policy.safetensors")),
    "order": ("order", bug_file),
    "config": ("resume", in_run("config.yaml")),
    "finished": ("resume", in_run("finished.yaml")),
    "state": ("resume", in_run("checkpoints/*/state.yaml")),
    "group": ("cli", group),
    "tensors": ("resume", in_run("checkpoints/*/state.safetensors")),
}


def yaml_inputs() -> Iterator[Input]:
    for place, (door, make) in PLACES.items():
        for kind in (*TEXTS, *FORMS):
            yield Input(f"{place}-{kind}", door, lambda folder, make=make, kind=kind: make(folder, kind))


# Policies: a good one, and what is wrong with one of its values.

ACTIONS = ("optimizer/adam", "optimizer/sgd")


def description() -> dict[str, object]:
    actions = [name for name in CATALOGUE if name.startswith("optimizer/")][:2] or list(CATALOGUE)[:2]
    return {
        "netmend_policy": 1,
        "netmend": "0.1.0",
        "algorithm": "ppo",
        "activation": "tanh",
        "training": {"seed": 1},
        "actions": [*actions, "stop"],
        "digests": {name: action_digest(CATALOGUE[name]) for name in actions},
        "observation": list(slot_names()),
    }


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [len(slot_names()), 8, 3]
    shapes = {f"layers.{i}.weight": (sizes[i + 1], sizes[i]) for i in range(2)}
    shapes |= {f"layers.{i}.bias": (sizes[i + 1],) for i in range(2)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def write_policy(folder: Path, plain: object, tensors: dict[str, np.ndarray]) -> list[str]:
    (folder / "policy.yaml").write_text(yaml.safe_dump(plain))
    (folder / "policy.safetensors").write_bytes(save(tensors))
    return [str(folder)]


DESCRIBED: dict[str, dict[str, object]] = {
    "format_2": {"netmend_policy": 2},
    "format_true": {"netmend_policy": True},
    "format_list": {"netmend_policy": [1]},
    "version_null": {"netmend": None},
    "algorithm_list": {"algorithm": ["ppo"]},
    "algorithm_empty": {"algorithm": ""},
    "algorithm_lines": {"algorithm": "a\nb"},
    "activation_unknown": {"activation": "gelu"},
    "activation_list": {"activation": ["tanh"]},
    "training_list": {"training": [1]},
    "training_nested": {"training": {"a": {"b": 1}}},
    "training_nan": {"training": {"a": float("nan")}},
    "actions_empty": {"actions": []},
    "actions_mapping": {"actions": {"stop": 1}},
    "actions_number": {"actions": 3},
    "actions_of_lists": {"actions": [["a"], "stop"]},
    "actions_of_mappings": {"actions": [{"a": 1}, "stop"]},
    "actions_without_stop": {"actions": [*list(CATALOGUE)[:3]]},
    "actions_stop_twice": {"actions": ["stop", "stop", "stop"]},
    "actions_twice": {"actions": [*[next(iter(CATALOGUE))] * 2, "stop"]},
    "actions_unknown": {"actions": ["no/such", "stop"], "digests": {}},
    "digests_list": {"digests": ["a"]},
    "digests_unknown": {"digests": {"no/such": "0"}},
    "digests_of_stop": {"digests": {"stop": "0"}},
    "digests_of_lists": {"digests": {next(iter(CATALOGUE)): ["0"]}},
    "digests_other": {"digests": dict.fromkeys(description()["digests"], "0")},  # type: ignore[attr-defined]
    "observation_empty": {"observation": []},
    "observation_text": {"observation": "slots"},
    "observation_short": {"observation": list(slot_names())[:-1]},
    "observation_twice": {"observation": [*list(slot_names())[:-1], slot_names()[0]]},
    "observation_other": {"observation": [*list(slot_names())[:-1], "moon"]},
    "observation_mixed": {"observation": [*list(slot_names())[:-1], 3]},
    "confidence_of_single_edits": {"confidence": {"fixed": {}, "gain": {}, "end": 0}},
    "confidence_list": {"confidence": [0.1] * 20_000},
    "confidence_nan": {"confidence": float("nan")},
    "retry_list": {"retry": ["recipe/rewrite@program"]},
    "extra_key": {"extra": 1},
}
W, B = "layers.0.weight", "layers.0.bias"
TENSORS: dict[str, Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]] = {
    "none": lambda t: {},
    "int64": lambda t: t | {W: t[W].astype(np.int64)},
    "int16": lambda t: t | {W: t[W].astype(np.int16)},
    "float64": lambda t: t | {B: t[B].astype(np.float64)},
    "bool": lambda t: t | {B: t[B] > 0},
    "column_bias": lambda t: t | {B: t[B][:, None]},
    "scalar_bias": lambda t: t | {B: np.array(1, np.float32)},
    "empty_bias": lambda t: t | {B: t[B][:0], W: t[W][:0]},
    "flat_weight": lambda t: t | {W: t[W].reshape(-1)},
    "turned_weight": lambda t: t | {W: np.ascontiguousarray(t[W].T)},
    "three_axes": lambda t: t | {W: t[W][None]},
    "no_members": lambda t: {name: value[None][:0] for name, value in t.items()},
    "members_of_members": lambda t: {name: value[None, None] for name, value in t.items()},
    "nan": lambda t: t | {W: t[W] * np.nan},
    "infinite": lambda t: t | {B: t[B] + np.inf},
    "extra_tensor": lambda t: t | {"extra": t[B]},
    "extra_layer": lambda t: t | {"layers.7.weight": t[W], "layers.7.bias": t[B]},
    "no_bias": lambda t: {name: value for name, value in t.items() if name != B},
    "narrow": lambda t: t | {"layers.1.weight": t["layers.1.weight"][:, :-1].copy()},
    "too_many_outputs": lambda t: t | {"layers.1.bias": np.zeros(4, np.float32)},
}


def header(text: bytes, size: int | None = None, rest: bytes = b"") -> bytes:
    return (len(text) if size is None else size).to_bytes(8, "little") + text + rest


RAW_WEIGHTS: dict[str, bytes] = {
    "huge_header": header(b"{}", 2**62),
    "long_header": header(b" " * 1_000_000 + b"{}"),
    "no_json": header(b"not json"),
    "deep_json": header(b'{"a":' * 20_000),
    "beyond_the_end": header(b'{"layers.0.weight":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'),
    "terabyte": header(
        b'{"layers.0.weight":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'
    ),
    "unknown_type": header(
        b'{"layers.0.weight":{"dtype":"F9","shape":[1],"data_offsets":[0,4]}}', rest=b"1234"
    ),
    "bfloat16": header(
        b'{"layers.0.weight":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}', rest=b"1234"
    ),
}


def policy_inputs() -> Iterator[Input]:
    for name, change in DESCRIBED.items():
        yield Input(
            f"policy-{name}",
            "policy",
            lambda folder, change=change: write_policy(folder, description() | change, weights()),
        )
    for name, of in TENSORS.items():
        yield Input(
            f"policy-{name}",
            "policy",
            lambda folder, of=of: write_policy(folder, description(), of(weights())),
        )
    for name, raw in RAW_WEIGHTS.items():

        def make(folder: Path, raw: bytes = raw) -> list[str]:
            write_policy(folder, description(), weights())
            (folder / "policy.safetensors").write_bytes(raw)
            return [str(folder)]

        yield Input(f"policy-{name}", "policy", make)
    for missing in ("policy.yaml", "policy.safetensors"):

        def without(folder: Path, missing: str = missing) -> list[str]:
            write_policy(folder, description(), weights())
            (folder / missing).unlink()
            return [str(folder)]

        yield Input(f"policy-without-{missing}", "policy", without)
    yield Input("policy-nowhere", "policy", lambda folder: ["x" * 5000])
    yield Input("policy-nul", "policy", lambda folder: ["a\0b"])


# Bugs and programs: one line of a good file replaced.

BUGS: dict[str, tuple[str, str]] = {
    "million_layers": ("    - dense: {units: 3}", "    - flatten\n" * 300_000),
    "wide_layer": ("units: 3", "units: 1000000000"),
    "negative_units": ("units: 3", "units: -1"),
    "half_units": ("units: 3", "units: 2.5"),
    "infinite_units": ("units: 3", "units: .inf"),
    "many_digits": ("units: 3", f"units: {'9' * 90}"),
    "unknown_layer": ("- dense: {units: 3}", "- magic"),
    "layer_of_lists": ("- dense: {units: 3}", "- dense: [[[1]]]"),
    "layer_of_number": ("- dense: {units: 3}", "- 3"),
    "rate_nan": ("lr: 10.0", "lr: .nan"),
    "rate_text": ("lr: 10.0", "lr: fast"),
    "rate_list": ("lr: 10.0", "lr: [1]"),
    "optimizer_list": ("kind: sgd", "kind: [sgd]"),
    "loss_mapping": ("loss: cross_entropy", "loss: {a: 1}"),
    "loss_unknown": ("loss: cross_entropy", "loss: os.system"),
    "no_program": ("program:", "fixed:"),
    "program_list": (BUG.partition("program:")[2], " [1]\n"),
    "program_null": (BUG.partition("program:")[2], "\n"),
    "version_99": ("netmend: 1", "netmend: 99"),
    "version_list": ("netmend: 1", "netmend: [1]"),
    "seeds": ("netmend: 1", "netmend: 1\nbudget: {seeds: 1000000000}"),
    "samples": ("netmend: 1", "netmend: 1\nbudget: {samples: 0.5}"),
    "updates": ("netmend: 1", "netmend: 1\nbudget: {updates: 1.0e+300}"),
    "work": ("netmend: 1", "netmend: 1\nbudget: {work: .inf}"),
    "budget_list": ("netmend: 1", "netmend: 1\nbudget: [1]"),
    "id_list": ("netmend: 1", "netmend: 1\nid: [1]"),
    "id_lines": ("netmend: 1", 'netmend: 1\nid: "a\\nb"'),
    "id_long": ("netmend: 1", f"netmend: 1\nid: {'x' * 9000}"),
    "split": ("netmend: 1", "netmend: 1\nsplit: {train: 1}"),
    "operators": ("netmend: 1", "netmend: 1\noperators: {a: 1}"),
    "causes": ("netmend: 1", f"netmend: 1\ncauses: [{'a, ' * 500_000}]"),
    "score": ("netmend: 1", "netmend: 1\nfaulty_score: 3"),
    "metric": ("netmend: 1", "netmend: 1\ntask_metric: accuracy"),
    "dataset_unknown": ("dataset: iris", "dataset: no_such_data"),
    "dataset_list": ("dataset: iris", "dataset: [iris]"),
    "dataset_nul": ("dataset: iris", 'dataset: "a\\0b.npz"'),
    "dataset_long": ("dataset: iris", f"dataset: {'x' * 5000}.npz"),
    "dataset_missing": ("dataset: iris", "dataset: missing.csv"),
    "dataset_lines": ("dataset: iris", 'dataset: "a\\nb.csv"'),
    "dataset_device": ("dataset: iris", "dataset: /dev/zero"),
    "dataset_process": ("dataset: iris", "dataset: ../../../../../../proc/self/mem.csv"),
    "prep_many": ("labels: index", f"labels: index, prep: [{'standardize, ' * 100_000}]"),
    "prep_resize": ("labels: index", "labels: index, prep: [{resize: {size: 1000000}}]"),
    "extra_key": ("netmend: 1", "netmend: 1\ncolour: red"),
    "thousand_problems": ("netmend: 1", "netmend: 1\n" + "".join(f"k{i}: 1\n" for i in range(1000))),
    "wrong_layers": ("    - dense: {units: 3}", "    - magic\n" * 60),
}


def bug_inputs() -> Iterator[Input]:
    for name, (old, new) in BUGS.items():

        def make(folder: Path, old: str = old, new: str = new) -> list[str]:
            assert old in BUG
            (folder / "bug.yaml").write_text(BUG.replace(old, new))
            return ["./bug.yaml"]

        yield Input(f"bug-{name}", "bug", make)
    for name in (
        "x" * 5000,
        "a\0b.yaml",
        "~nobody/a.yaml",
        "a\nb.yaml",
        "nowhere/",
        "train.py",
        "/dev/zero",
        ".",
    ):
        yield Input(f"bug-named-{name[:12]!a}", "bug", lambda folder, name=name: [name])


# Data: an npz or csv beside a good bug.

ROWS = 24
X, Y = np.zeros((ROWS, 2), np.float32), np.arange(ROWS) % 3
ARRAYS: dict[str, dict[str, object]] = {
    "text_x": {"x": np.full((ROWS, 2), "a"), "y": Y},
    "structured_x": {"x": np.zeros(ROWS, [("a", "f4"), ("b", "f4")]), "y": Y},
    "scalar_y": {"x": X, "y": np.array(3)},
    "scalar_x": {"x": np.array(3), "y": Y},
    "complex_x": {"x": X.astype(complex), "y": Y},
    "dates_y": {"x": X, "y": np.zeros(ROWS, "M8[s]")},
    "objects": {"x": np.array([Executes()] * ROWS, object), "y": Y},
    "objects_y": {"x": X, "y": np.array([Executes()] * ROWS, object)},
    "class_2e9": {"x": X, "y": np.full(ROWS, 2_000_000_000)},
    "class_uint64": {"x": X, "y": np.full(ROWS, 2**64 - 1, np.uint64)},
    "class_negative": {"x": X, "y": Y - 1},
    "class_nan": {"x": X, "y": np.full(ROWS, np.nan)},
    "class_huge_real": {"x": X, "y": np.full(ROWS, 1e300)},
    "texts_two_columns": {"x": X, "y": np.full((ROWS, 2), "a")},
    "bytes_y": {"x": X, "y": np.full(ROWS, b"\xff")},
    "no_rows": {"x": X[:0], "y": Y[:0]},
    "no_columns": {"x": X[:, :0], "y": Y},
    "other_rows": {"x": X, "y": Y[:-1]},
    "no_y": {"x": X},
    "other_names": {"a": X, "b": Y},
    "other_columns": {"x_train": X, "y_train": Y, "x_test": np.zeros((ROWS, 3), np.float32), "y_test": Y},
    "other_kind": {"x_train": X, "y_train": Y, "x_test": X.astype(np.int64), "y_test": Y},
    "meta_deep": {"x": X, "y": Y, "meta": np.array("[" * NESTED)},
    "meta_list": {"x": X, "y": Y, "meta": np.array("[1]")},
    "tokens_2e9": {"x": np.full((ROWS, 4), 2_000_000_000), "y": Y, "vocab": np.array(["a"])},
    "tokens_negative": {"x": np.full((ROWS, 4), -1), "y": Y, "vocab": np.array(["a"])},
    "tokens_real": {"x": np.full((ROWS, 4), np.nan), "y": Y, "vocab": np.array(["a"])},
    "jpeg_broken": {
        "header": np.zeros(9, np.uint8),
        "data": np.zeros(99, np.uint8),
        "offset": np.arange(ROWS + 1),
        "is_test": Y == 0,
        "y": Y,
    },
    "jpeg_offsets": {
        "header": np.zeros(9, np.uint8),
        "data": np.zeros(9, np.uint8),
        "offset": np.full((3, 3), 2**60),
        "is_test": np.zeros((2, 2)),
        "y": Y,
    },
}


def npy(declared: str, data: bytes = b"") -> bytes:
    text = declared.encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


def declared(shape: str, dtype: str = "'<f4'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}"


def array(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


MEMBERS: dict[str, bytes] = {
    "terabyte": npy(declared("(1000000, 1000000)")),
    "overflow": npy(declared("(4611686018427387904, 4)")),
    "negative": npy(declared("(-1, 2)")),
    "zero_and_huge": npy(declared("(0, 1000000000000000000)")),
    "many_axes": npy(declared(f"({'1, ' * 200})"), b"1234"),
    "short": npy(declared("(24, 2)"), b"1234"),
    "long": npy(declared("(24, 2)"), b"1" * 1000),
    "object": npy(declared("(1,)", "'|O'"), pickle.dumps([Executes()])),
    "wide_text": npy(declared("(24,)", "'<U1000000000'")),
    "deep_header": npy("(" * 9000),
    "minus_header": npy("-" * 9000 + "1"),
    "no_header": npy("None"),
    "call_header": npy(f"__import__('os').system('{TOUCH}')"),
    "no_array": b"plain text",
    "empty": b"",
    "version_9": b"\x93NUMPY\x09\0" + b"\0" * 100,
    "long_header": b"\x93NUMPY\2\0" + (2**31).to_bytes(4, "little") + b" " * 1000,
}


def with_member(raw: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", raw)
        archive.writestr("y.npy", array(Y))
    return stream.getvalue()


def zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x.npy", "w") as member:
            member.write(npy(declared("(250000000, 2)")))
            zeros = bytes(10_000_000)
            for _ in range(200):
                member.write(zeros)
        archive.writestr("y.npy", array(Y))
    return stream.getvalue()


def many_members() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(40_000):
            archive.writestr(f"a{number}.npy", b"")
    return stream.getvalue()


GOOD_NPZ = with_member(array(X))
FILES: dict[str, Callable[[], bytes]] = {
    "bomb": zip_bomb,
    "members": many_members,
    "lies_of_its_size": lambda: GOOD_NPZ.replace(
        (len(array(X))).to_bytes(4, "little"), (10).to_bytes(4, "little")
    ),
    "damaged": lambda: GOOD_NPZ[:60] + bytes(20) + GOOD_NPZ[80:],
    "half": lambda: GOOD_NPZ[: len(GOOD_NPZ) // 2],
    "empty": lambda: b"",
    "text": lambda: b"plain",
    "pickle": lambda: pickle.dumps(Executes()),
    "locked": lambda: GOOD_NPZ.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0").replace(
        b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"
    ),
    "other_packing": lambda: GOOD_NPZ.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x0e\0"),
}
TABLES: dict[str, bytes] = {
    "empty": b"",
    "header_alone": b"a,class\n",
    "blank_lines": b"\n\n\n",
    "ragged": b"a,b,class\n1,2,x\n1,2\n",
    "ragged_long": b"a,b,class\n1,2,x\n1,2,x,9\n",
    "na": b"a,class\n1,x\nNA,y\n",
    "text_column": b"a,city,class\n1,Rome,x\n2,Oslo,y\n",
    "no_class": b"a,b\n1,2\n",
    "two_classes": b"class,class\n1,2\n",
    "semicolons": b"a;class\n1;x\n2;y\n",
    "missing_class": b"a,class\n1,x\n2,\n",
    "infinite_target": b"a,target\n1,inf\n2,3\n",
    "huge_target": b"a,target\n1,1e300\n2,3\n",
    "only_class": b"class\nx\ny\n",
    "utf16": "a,class\n1,x\n2,y\n".encode("utf-16"),
    "latin1": b"a,class\n1,caf\xe9\n2,y\n",
    "nul": b"a,class\n1,x\0y\n\0,y\n",
    "quote": b'a,class\n1,"' + b"x" * 200_000,
    "wide": b",".join([b"a"] * 300_000) + b",class\n" + b"1," * 300_000 + b"x\n" + b"1," * 299_999 + b"y\n",
    "binary": bytes(range(256)) * 100,
    "classes": b"a,class\n" + b"".join(b"1,c%d\n" % i for i in range(9000)),
    "cells": b"a,class\n" + b"1,x\n" * 3_000_000,
}


def data_inputs() -> Iterator[Input]:
    def beside(folder: Path, name: str, raw: bytes) -> list[str]:
        (folder / name).write_bytes(raw)
        return named(folder, name)

    def named(folder: Path, name: str) -> list[str]:
        (folder / "bug.yaml").write_text(BUG.replace("iris", name))
        return ["./bug.yaml"]

    def saved(folder: Path, arrays: dict[str, np.ndarray]) -> list[str]:
        np.savez(folder / "d.npz", **arrays)
        return named(folder, "d.npz")

    def formed(folder: Path, name: str, kind: str) -> list[str]:
        damaged(folder / name, kind)
        return named(folder, name)

    for name, arrays in ARRAYS.items():
        yield Input(f"npz-{name}", "bug", lambda folder, arrays=arrays: saved(folder, arrays))
    for name, raw in MEMBERS.items():
        make: Make = lambda folder, raw=raw: beside(folder, "d.npz", with_member(raw))  # noqa: E731
        yield Input(f"npz-member-{name}", "bug", make)
    for name, build in FILES.items():
        yield Input(f"npz-file-{name}", "bug", lambda folder, build=build: beside(folder, "d.npz", build()))
    for name, raw in TABLES.items():
        yield Input(f"csv-{name}", "bug", lambda folder, raw=raw: beside(folder, "d.csv", raw))
    for kind in FORMS:
        for name in ("d.csv", "d.npz"):
            yield Input(f"{name}-{kind}", "bug", lambda folder, n=name, kind=kind: formed(folder, n, kind))


# Runs: a checkpoint's arrays; stores; words.


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_shapes(path: Path) -> None:
    path.write_bytes(save({name: value[:1] for name, value in load_file(path).items() if value.ndim}))


def infinite(path: Path) -> None:
    tensors = load_file(path)
    real = {name: np.full_like(value, np.inf) for name, value in tensors.items() if value.dtype.kind == "f"}
    path.write_bytes(save(tensors | real))


def changed(key: str, value: object) -> Callable[[Path], object]:
    """Puts another value under a key of a YAML file."""
    return lambda path: path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {key: value}))


RUNS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "tensors_cut": ("checkpoints/*/state.safetensors", cut),
    "tensors_empty": ("checkpoints/*/state.safetensors", empty),
    "tensors_other": ("checkpoints/*/state.safetensors", other_shapes),
    "tensors_gone": ("checkpoints/*/state.safetensors", Path.unlink),
    "tensors_infinite": ("checkpoints/*/state.safetensors", infinite),
    "state_empty": ("checkpoints/*/state.yaml", empty),
    "state_gone": ("checkpoints/*/state.yaml", Path.unlink),
    "state_generators": ("checkpoints/*/state.yaml", changed("generators", {"bugs": 1, "actions": [2]})),
    "state_repairs": ("checkpoints/*/state.yaml", changed("repairs", [{"bug": "no such"}])),
    "state_counters": ("checkpoints/*/state.yaml", changed("counters", {"num_timesteps": -16})),
    "state_totals": ("checkpoints/*/state.yaml", changed("totals", {"steps": 1e300})),
    "checkpoint_file": ("checkpoints/*", lambda path: damaged(path, "word")),
    "checkpoints_file": ("checkpoints", lambda path: damaged(path, "word")),
    "config_empty": ("config.yaml", empty),
    "config_seed": ("config.yaml", lambda path: path.write_text("seed: [1]")),
    "config_gone": ("config.yaml", Path.unlink),
    "config_other": ("config.yaml", lambda path: path.write_text("colour: red")),
    "config_value": ("config.yaml", changed("agent", {"n_envs": 1.0e9})),
    "config_network": ("config.yaml", changed("agent", {"algorithm": "ppo", "network": [9]})),
    "config_resolver": ("config.yaml", changed("bugs", "${oc.env:HOME}")),
    "config_class": ("config.yaml", changed("agent", {"params": {"_target_": f"os.system({TOUCH})"}})),
    "finished_totals": ("finished.yaml", lambda path: path.write_text("totals: {steps: many}")),
    "finished_extra": ("finished.yaml", lambda path: path.write_text("totals: {colour: red}")),
}


def database(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


MARKS = ("PRAGMA application_id = 1852665444", "PRAGMA user_version = 1")


def store(path: Path, trial: object = None) -> None:
    """A store with one row."""
    TrialStore(path).close()
    text = trial if isinstance(trial, str) else json.dumps(trial)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        columns = "key, program, dataset, data, budget, seed, code, device"
        costs = "status, skill, work, seconds, has_holdout, trial"
        values = ("k", "p", "iris", "d", "{}", 0, "c", "cpu", "ok", 0.5, 1.0, 1.0, 0, text)
        connection.execute(f"INSERT INTO trials ({columns}, {costs}) VALUES ({'?, ' * 13}?)", values)


def poke(path: Path, at: int, value: bytes) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + value + raw[at + len(value) :])


def truncated(path: Path) -> None:
    store(path)
    path.write_bytes(path.read_bytes()[:5000])


LOCKS: list[sqlite3.Connection] = []


def locked(path: Path) -> None:
    store(path)
    LOCKS.append(sqlite3.connect(path, isolation_level=None))
    LOCKS[-1].execute("BEGIN EXCLUSIVE")


STORES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_bytes(b"plain text" * 1000),
    "fifo": fifo,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/full"),
    "other_database": lambda path: database(path, "CREATE TABLE a (b)"),
    "newer": lambda path: database(path, MARKS[0], "PRAGMA user_version = 99"),
    "other_table": lambda path: database(path, *MARKS, "CREATE TABLE trials (key TEXT PRIMARY KEY)"),
    "circle": lambda path: path.symlink_to(path.name),
    "truncated": truncated,
    "locked": locked,
    "read_only": lambda path: (store(path), poke(path, 18, b"\3")),
    "view": lambda path: database(
        path,
        *MARKS,
        "CREATE VIEW trials AS WITH RECURSIVE n(key) AS (SELECT 1 UNION ALL SELECT key + 1 FROM n) "
        "SELECT key, 1 AS has_holdout, 0 AS holdout, 'ok' AS status, '{}' AS trial FROM n",
    ),
    "trigger": lambda path: (
        store(path),
        database(path, "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM trials; END"),
    ),
}
GOOD_TRIAL: dict[str, object] = {
    "status": "ok",
    "skill": 0.5,
    "curves": {"train_loss": [1.0]},
    "symptoms": {"layers": [{"index": 0}]},
}
ROWS_OF_STORES: dict[str, object] = {
    "word": "word",
    "cut": '{"status": "ok"',
    "list": [1],
    "null": None,
    "deep": "[" * NESTED,
    "digits": '{"skill": ' + "1" * 5000 + "}",
    "infinite": json.dumps(GOOD_TRIAL).replace("0.5", "1e999"),
    "nan": json.dumps(GOOD_TRIAL).replace("0.5", "NaN"),
    "large": "[" + "0," * 6_000_000 + "0]",
    "empty": {},
    "status": GOOD_TRIAL | {"status": "splendid"},
    "skill": GOOD_TRIAL | {"skill": "a"},
    "spread": GOOD_TRIAL | {"spread": None},
    "message": GOOD_TRIAL | {"message": ["a"]},
    "extra": GOOD_TRIAL | {"a\nb": 1},
    "curves": GOOD_TRIAL | {"curves": {"train_loss": ["a"]}},
    "curves_list": GOOD_TRIAL | {"curves": [1]},
    "curves_extra": GOOD_TRIAL | {"curves": {"moon": [1]}},
    "symptoms": GOOD_TRIAL | {"symptoms": 3},
    "symptom": GOOD_TRIAL | {"symptoms": {"layers": [], "saturation": "a"}},
    "layer": GOOD_TRIAL | {"symptoms": {"layers": [{"index": 0.5}]}},
    "layers": GOOD_TRIAL | {"symptoms": {"layers": 3}},
    "crash": GOOD_TRIAL | {"symptoms": {"layers": [], "crash": {"phase": 1}}},
    "crash_list": GOOD_TRIAL | {"symptoms": {"layers": [], "crash": [1]}},
    "holdout": GOOD_TRIAL | {"holdout": 1.0},
}
"""What stands in the column of a trial."""
WORDS: dict[str, list[str]] = {
    "network_huge": ["agent.network=[100000000]"],
    "network_zero": ["agent.network=[0]"],
    "network_text": ["agent.network=[wide]"],
    "network_many": [f"agent.network=[{','.join(['8'] * 5000)}]"],
    "envs_huge": ["agent.n_envs=1e9"],
    "envs_many": ["agent.n_envs=1000000000"],
    "envs_negative": ["agent.n_envs=-1"],
    "batch_zero": ["agent.params.batch_size=0"],
    "batch_text": ["agent.params.batch_size=many"],
    "steps_zero": ["agent.params.n_steps=0"],
    "steps_huge": ["agent.params.n_steps=1000000000"],
    "gamma_inf": ["agent.params.gamma=inf"],
    "gamma_nan": ["agent.params.gamma=nan"],
    "gamma_2": ["agent.params.gamma=2"],
    "rate_negative": ["agent.params.learning_rate=-1"],
    "rate_nan": ["agent.params.learning_rate=nan"],
    "rate_text": ["agent.params.learning_rate=fast"],
    "epochs_negative": ["agent.params.n_epochs=-3"],
    "param_unknown": ["+agent.params.colour=red"],
    "policy_param": ["+agent.params.policy_kwargs=3"],
    "target": [f"+agent.params._target_=os.system({TOUCH})"],
    "activation": ["agent.activation=gelu"],
    "algorithm": ["agent.algorithm=alphago"],
    "training_steps": ["training.steps=1e400"],
    "training_negative": ["training.steps=-5"],
    "workers": ["training.workers=-1"],
    "workers_huge": ["training.workers=1000000000"],
    "device": ["training.device=abacus"],
    "trial_seeds": ["training.trial_seeds=0"],
    "budget_seeds": ["budget.seeds=1000000000"],
    "budget_samples": ["budget.samples=0.5"],
    "budget_trials": ["budget.trials=0"],
    "budget_price": ["budget.price=nan"],
    "budget_work": ["budget.work=-1"],
    "seed": ["seed=-1"],
    "seed_huge": ["seed=100000000000000000000"],
    "key": ["colour=red"],
    "callback": [f"+hydra.callbacks.a={{_target_: os.system, command: {TOUCH}}}"],
    "data_dir": ["data_dir=/dev/null", "bugs=real-v1"],
    "resume_here": ["resume=."],
    "budget_trials_huge": ["budget.trials=1000000000"],
    "syntax": ["agent.network=[[["],
    "resolver": ["seed=${oc.env:HOME}"],
    "resolver_loop": ["seed=${seed}"],
    "no_suite": ["bugs=no_such_suite"],
    "suite_device": ["bugs=/dev/zero"],
    "actions": ["actions.names=[no/such]"],
    "no_actions": ["actions.names=[]"],
    "keep": ["keep=[no_such]"],
    "resume_nowhere": ["resume=/nowhere"],
    "long_word": [f"seed={'1' * 100_000}"],
}


def other_inputs() -> Iterator[Input]:
    for name, (pattern, change) in RUNS.items():

        def make(
            folder: Path, pattern: str = pattern, change: Callable[[Path], object] = change
        ) -> list[str]:
            run = folder / "run"
            shutil.copytree(os.environ["HOSTILE_RUN"], run)
            change(next(run.glob(pattern)))
            return [str(run)]

        yield Input(f"run-{name}", "resume", make)
    for name, build in STORES.items():

        def stored(folder: Path, build: Callable[[Path], object] = build) -> list[str]:
            build(folder / "trials.sqlite")
            return ["trials.sqlite"]

        yield Input(f"store-{name}", "store", stored)
    for name, row in ROWS_OF_STORES.items():

        def with_row(folder: Path, row: object = row) -> list[str]:
            store(folder / "trials.sqlite", row)
            return ["trials.sqlite"]

        yield Input(f"store-row-{name}", "store", with_row)
    for name, words in WORDS.items():
        yield Input(f"words-{name}", "cli", lambda folder, words=words: ["train", *TRAIN, *words])


INPUTS = [*yaml_inputs(), *policy_inputs(), *bug_inputs(), *data_inputs(), *other_inputs()]
FAST = 19
"""One in so many inputs is in the fast suite."""
SCREEN = 24
"""Most lines of a message: one, or one for each problem."""
COMMANDS = {
    "bug": "repair bug={} policy=nowhere",
    "suite": "bugs show {}",
    "policy": "repair bug=x policy={}",
}
"""Verbs whose first reading is that of a door."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Input, Path], dict[str, object]]]:
    """Gives an input to a forked child."""
    run = tmp_path_factory.mktemp("begun") / "run"
    os.environ["HOSTILE_RUN"] = str(run)
    command = [sys.executable, str(Path(__file__).with_name("server.py")), str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(door: str, folder: Path, words: list[str]) -> dict[str, object]:
            stdin.write(json.dumps([door, str(folder), words]) + "\n")
            stdin.flush()
            answer: dict[str, object] = json.loads(stdout.readline())
            return answer

        assert stdout.readline() == "ready\n"
        yield lambda given, folder: ask(given.door, folder, given.make(folder))
        stdin.close()
    for connection in LOCKS:
        connection.close()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(given, id=given.name, marks=[pytest.mark.slow] if number % FAST else [])
        for number, given in enumerate(INPUTS)
    ],
)
def test_it_is_refused_in_one_line_for_each_problem(given: Input, server: Callable, tmp_path: Path) -> None:
    answer = server(given, tmp_path)
    stderr = answer["stderr"]
    assert answer["status"] == 2, stderr[-3000:]
    first, *others = stderr.splitlines()
    assert first.startswith("netmend: "), stderr[:3000]
    assert all(line.startswith("  - ") for line in others), stderr[:3000]
    assert len(others) < SCREEN
    assert len(stderr) < 8000, stderr[:3000]
    assert answer["cpu"] < CPU
    assert answer["memory"] < MEMORY
    assert not (tmp_path / EXECUTED).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [given for given in INPUTS if given.door in COMMANDS][::37], ids=lambda given: given.name
)
def test_the_command_itself_refuses_it(given: Input, tmp_path: Path) -> None:
    (place,) = given.make(tmp_path)
    words = [word.format(place) for word in COMMANDS[given.door].split()]
    command = [sys.executable, "-m", "netmend.agents.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) <= SCREEN, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / EXECUTED).exists()


def test_there_are_enough() -> None:
    assert len(INPUTS) >= 300
    assert len({given.name for given in INPUTS}) == len(INPUTS)
