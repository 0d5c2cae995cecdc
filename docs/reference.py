"""Writes what the pages of reference take from the code: all of cli.md, the tables of configuration.md.

``make docs`` runs it. ``tests/test_reference.py`` fails where a page is not what this would write.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml
from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from netmend.agents import cli
from netmend.agents.verbs import bench, bugs, check, repair_script, report
from netmend.agents.verbs.bugs.claims import ClaimsConfig
from netmend.agents.verbs.bugs.deepcrime import DeepCrimeConfig
from netmend.agents.verbs.bugs.measure import MeasureConfig
from netmend.agents.verbs.bugs.suites import MakeConfig
from netmend.agents.verbs.config import VerbConfig, explained
from netmend.agents.verbs.evaluate import EvaluateConfig
from netmend.agents.verbs.hydra_job import CONF
from netmend.agents.verbs.repair import RepairConfig
from netmend.agents.verbs.train import TrainConfig

DOCS = Path(__file__).parent
GROUPS = DOCS.parent / "conf"
GENERATED = re.compile(r"(?<=<!-- generated: docs/reference.py -->\n).*(?=<!-- end -->)", re.DOTALL)
WIDTH = 88
"""Columns of a help text."""

CONFIGS: dict[str, tuple[str, type[VerbConfig]]] = {
    "train": ("train", TrainConfig),
    "evaluate": ("evaluate", EvaluateConfig),
    "repair": ("repair", RepairConfig),
    "bugs make": ("make_bugs", MakeConfig),
    "bugs verify, bugs reachable": ("measure_bugs", MeasureConfig),
    "bugs claims": ("claims", ClaimsConfig),
    "bugs deepcrime": ("deepcrime", DeepCrimeConfig),
    "bench engine": ("bench", bench.EngineConfig),
    "bench environment": ("bench", bench.EnvironmentConfig),
    "bench scale": ("bench", bench.ScaleConfig),
}
"""File in conf/ and schema of what Hydra configures, by verb."""
HELP: dict[str, argparse.ArgumentParser | str] = {
    "check SCRIPT": check.make_parser(),
    "repair SCRIPT": repair_script.make_parser(),
    "report RUN": report.make_parser(),
    "bugs": bugs.USAGE,
    "bench": bench.USAGE,
}
"""What the other verbs say of themselves."""


def pages() -> dict[str, str]:
    """The pages as they should be, by name."""
    parts = {"cli.md": commands(), "configuration.md": f"{groups()}\n\n{tables()}"}
    return {name: _renewed((DOCS / name).read_text(encoding="utf-8"), text) for name, text in parts.items()}


def commands() -> str:
    """The help of the command, then of each verb."""
    parts = [_block(cli.USAGE)]
    for verb, said in HELP.items():
        parts.append(f"## netmend {verb}\n\n{_block(said if isinstance(said, str) else _help(said))}")
    for verb, (name, _) in CONFIGS.items():
        header = yaml.safe_load((GROUPS / f"{name}.yaml").read_text())["hydra"]["help"]["header"]
        place = re.sub(r"[^\w ]", "", verb).replace(" ", "-")
        keys = f"[Its keys](configuration.md#netmend-{place})"
        parts.append(f"## netmend {verb}\n\n{_block(header)}\n\n{keys}")
    return "\n\n".join(parts)


def tables() -> str:
    """The keys of each verb. A key stands in the first table that has it with this text and default."""
    sections = []
    seen: set[str] = set()
    for verb, (name, kind) in CONFIGS.items():
        composed = _composed(name, kind)
        rows = [
            f"| `{key}` | {_default(composed, key)} | {text.replace('``', '`')} |"
            for key, text in explained(kind).items()
        ]
        fresh = [row for row in rows if row not in seen]
        seen |= set(rows)
        sections.append(
            "\n".join([f"## netmend {verb}\n", "| key | default | |", "| --- | --- | --- |", *fresh])
        )
    return "\n\n".join(sections)


def groups() -> str:
    """The options of each group of keys, and what they set."""
    rows = []
    for path in sorted(GROUPS.glob("*/*.yaml")):
        text, group = path.read_text(encoding="utf-8"), path.parent.name
        everywhere, head = "@package _global_" in text, re.match(r"(#.*\n)*", text)
        comment = " ".join(re.sub(r"^# (@package .*)?", "", head[0] if head else "", flags=re.M).split())
        keys = dict(_flat(yaml.safe_load(text), "" if everywhere else f"{group}."))
        sets = ", ".join(f"`{key}={_plain(value)}`" for key, value in keys.items())
        rows.append(f"| `{group}={path.stem}` | {comment} | {sets} |")
    return "\n".join(["## Groups\n", "| option | | sets |", "| --- | --- | --- |", *rows])


def _flat(value: object, prefix: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}{key}." if isinstance(inner, dict) else f"{prefix}{key}")
    else:
        yield prefix, value


def _composed(name: str, kind: type[VerbConfig]) -> DictConfig:
    ConfigStore.instance().store(name=f"{name}_schema", node=kind)
    with initialize_config_module(CONF, version_base="1.3"):
        return compose(name)


def _default(composed: DictConfig, key: str) -> str:
    group, _, leaf = key.rpartition(".")
    home: DictConfig = OmegaConf.select(composed, group) if group else composed
    if OmegaConf.is_missing(home, leaf):
        return "required"
    value = home[leaf]
    return f"`{_plain(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)}`"


def _plain(value: object) -> str:
    """A value as a command line has it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = partial(argparse.HelpFormatter, width=WIDTH)
    return parser.format_help()


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def _renewed(page: str, text: str) -> str:
    """A page with new text where it is generated."""
    return GENERATED.sub(lambda _: f"\n{text}\n\n", page)


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
