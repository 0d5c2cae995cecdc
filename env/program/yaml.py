"""Programs as YAML and as plain dictionaries, and the digest that names a program.

The form is described in docs/program.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import TypeVar

import yaml

from netmend.env.errors import LISTED, ProgramError
from netmend.env.program.checks import check
from netmend.env.program.fields import Field, fields_of, shown, unknown, unknown_key
from netmend.env.program.layers import LAYER_KINDS, Layer
from netmend.env.program.names import DAMAGES, PREPS
from netmend.env.program.schema import SCHEMA_VERSION, Damage, Optimizer, Prep, Program
from netmend.env.reading import parse_yaml

Part = TypeVar("Part")
Plain = dict[str, object]

VERSION_KEY = "netmend"
ALWAYS_WRITTEN = frozenset({"lr", "batch_size", "epochs", (Optimizer, "kind")})
"""Keys that a reader looks for: written even where they hold their default."""
KINDS: dict[tuple[type, ...], tuple[str, Collection[str]]] = {
    (Prep,): ("preparation step", PREPS),
    (Damage,): ("damage", DAMAGES),
}
"""Parts that stand in lists by their kind, with its word and its names."""


def to_plain(program: Program) -> Plain:
    """The program as dictionaries, lists and plain values, without most defaults and without the version."""
    return _encode(program)


def from_plain(plain: object, source: str) -> Program:
    """The program that ``to_plain`` or a file described; the version may be there.

    Args:
        plain: the mapping.
        source: what the error message calls it, such as the path of the file.

    Raises:
        ProgramError: with every problem.
    """
    problems: list[str] = []
    if isinstance(plain, Mapping) and VERSION_KEY in plain:
        check_version(plain, problems)
        plain = {key: value for key, value in plain.items() if key != VERSION_KEY}
    program = decode_program(plain, "", problems)
    if program is None or problems:
        raise ProgramError(source, problems)
    return program


def decode_program(plain: object, path: str, problems: list[str]) -> Program | None:
    """The program at ``path`` of a larger file, None where it has problems, which are added to the list."""
    before = len(problems)
    program = decode(Program, plain, path, problems)
    if program is not None:
        problems.extend(f"{_join(path, problem)}" for problem in check(program))
    return program if len(problems) == before else None


def dump(program: Program) -> str:
    """The program as the text of a YAML file."""
    return write_yaml({VERSION_KEY: SCHEMA_VERSION, **to_plain(program)})


def load(text: str, source: str) -> Program:
    """The program in the text of a YAML file. Raises FileError where it is none, with every problem."""
    plain = parse_yaml(text, source)
    if isinstance(plain, dict) and VERSION_KEY not in plain:
        plain = {VERSION_KEY: None, **plain}
    return from_plain(plain, source)


def digest(program: Program) -> str:
    """SHA-256 of the program's canonical form, 64 hexadecimal digits: equal programs have the same.

    It is kept on the program, which is immutable, because every step of an environment asks for it.
    """
    known = program.__dict__.get("_digest")
    if isinstance(known, str):
        return known
    value = hashlib.sha256(f"[{SCHEMA_VERSION},{_canonical(program)}]".encode()).hexdigest()
    program.__dict__["_digest"] = value
    return value


def _canonical(program: Program) -> str:
    """``to_plain`` as JSON without spaces."""
    texts = []
    for field in fields_of(Program):
        value = getattr(program, field.name)
        if not _is_left_out(Program, field, value):
            texts.append(f'"{field.name}":{_field_text(field, value)}')
    return f"{{{','.join(texts)}}}"


def _field_text(field: Field, value: object) -> str:
    if isinstance(value, tuple) and field.parts:
        return f"[{','.join(map(_part_text, value))}]"
    return _part_text(value) if field.parts and value is not None else _json(_encode_field(field, value))


def _part_text(part: object) -> str:
    """Kept on the part, which many programs share."""
    known = part.__dict__.get("_text")
    if isinstance(known, str):
        return known
    text = _json(_encode_entry(part) if isinstance(part, Layer) else _encode(part))
    part.__dict__["_text"] = text
    return text


def _json(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"))


def check_version(plain: Mapping[str, object], problems: list[str]) -> None:
    """Add a problem where a file's version is missing or one that this netmend does not read."""
    version = plain.get(VERSION_KEY)
    if version is None:
        problems.append(f"{VERSION_KEY}: missing, expected the version of the schema, {SCHEMA_VERSION}")
    elif version != SCHEMA_VERSION or isinstance(version, bool):
        problems.append(f"{VERSION_KEY}: version {shown(version)}, but this netmend reads {SCHEMA_VERSION}")


def decode(cls: type[Part], plain: object, path: str, problems: list[str]) -> Part | None:
    """A frozen dataclass with the schema's kinds of fields from a mapping.

    Args:
        cls: the dataclass.
        plain: the mapping, as read from YAML.
        path: of the mapping in its file, empty at the top.
        problems: every problem is added, with its path.

    Returns:
        the instance, None where there was a problem.
    """
    fields = fields_of(cls)
    names = tuple(field.name for field in fields)
    if not isinstance(plain, Mapping):
        expected = f"a mapping with keys of {', '.join(names)}" if names else "an empty mapping"
        problems.append(f"{path or 'the file'}: {shown(plain)} is not {expected}")
        return None
    before = len(problems)
    strangers = [str(key) for key in plain if key not in names][:LISTED]
    problems.extend(f"{_join(path, key)}: {unknown_key(cls, key)}" for key in strangers)
    values = {}
    for field in fields:
        if field.name in plain:
            values[field.name] = _decode_field(field, plain[field.name], _join(path, field.name), problems)
        elif field.required:
            problems.append(f"{_join(path, field.name)}: missing, expected {field.expected}")
    return cls(**values) if len(problems) == before else None


def _decode_field(field: Field, plain: object, path: str, problems: list[str]) -> object:
    if plain is None and field.optional:
        return None
    if field.many and field.parts:
        return _decode_list(field, plain, path, problems)
    if field.many or field.numbers:
        plain = tuple(plain) if isinstance(plain, list) else plain
    if field.parts:
        return decode(field.parts[0], plain, path, problems)
    problem = field.problem(plain)
    if problem is not None:
        problems.append(f"{path}: {problem}")
        return None
    if field.numbers and isinstance(plain, tuple):
        return tuple(map(float, plain))
    return float(plain) if float in field.types and isinstance(plain, int) else plain


def _decode_list(field: Field, plain: object, path: str, problems: list[str]) -> tuple[object, ...]:
    if not isinstance(plain, list):
        problems.append(f"{path}: {shown(plain)} is not a list")
        return ()
    if (problem := field.count_problem(len(plain))) is not None:
        problems.append(f"{path}: {problem}")
        return ()
    return tuple(_decode_entry(field, item, f"{path}[{i}]", problems) for i, item in enumerate(plain))


def _decode_entry(field: Field, plain: object, path: str, problems: list[str]) -> object:
    """An entry of a list of layers, steps or damages: a name, or a name with its parameters."""
    pair = _named(plain)
    if pair is None:
        expected = "a name or one name with its parameters"
        problems.append(f"{path}: {shown(plain)} is not {expected}, such as `{_EXAMPLES[field.name]}`")
        return None
    name, parameters = pair
    if field.parts in KINDS:
        return _decode_kind(field.parts[0], name, parameters, path, problems)
    if name in LAYER_KINDS:
        return decode(LAYER_KINDS[name], parameters, path, problems)
    problems.append(f"{path}: {unknown('layer', name, LAYER_KINDS)}")
    return None


def _decode_kind(
    cls: type[Part], name: str, parameters: object, path: str, problems: list[str]
) -> Part | None:
    word, names = KINDS[(cls,)]
    if name not in names:
        problems.append(f"{path}: {unknown(word, name, names)}")
    elif not isinstance(parameters, Mapping):
        keys = ", ".join(field.name for field in fields_of(cls) if field.name != "kind")
        problems.append(f"{path}: {shown(parameters)} is not a mapping with keys of {keys}")
    elif "kind" in parameters:
        problems.append(
            f"{path}.kind: unknown key 'kind'; the name of the {word.split()[-1]} stands before the colon"
        )
    else:
        return decode(cls, {"kind": name, **parameters}, path, problems)
    return None


_EXAMPLES = {
    "layers": "dense: {units: 64}",
    "prep": "scale: {factor: 0.1}",
    "damage": "noise: {percent: 50}",
}


def _named(plain: object) -> tuple[str, object] | None:
    if isinstance(plain, str):
        return plain, {}
    if isinstance(plain, Mapping) and len(plain) == 1:
        ((name, parameters),) = plain.items()
        return str(name), {} if parameters is None else parameters
    return None


def _encode(part: object) -> Plain:
    plain: Plain = {}
    cls = type(part)
    for field in fields_of(cls):
        value = getattr(part, field.name)
        if not _is_left_out(cls, field, value):
            plain[field.name] = _encode_field(field, value)
    return plain


def _is_left_out(cls: type, field: Field, value: object) -> bool:
    default = not field.required and value == field.default
    return default and field.name not in ALWAYS_WRITTEN and (cls, field.name) not in ALWAYS_WRITTEN


def _encode_field(field: Field, value: object) -> object:
    """Equal values get one form: 1 and 1.0, 0.0 and -0.0."""
    if isinstance(value, tuple):
        if field.numbers:
            return [float(number) for number in value]
        return [_encode_entry(item) for item in value] if field.parts else list(value)
    if value is None:
        return None
    if field.parts:
        return _encode(value)
    if float in field.types and isinstance(value, int | float):
        return float(value) + 0.0
    return int(value) if int in field.types and isinstance(value, int) else value


def _encode_entry(part: Layer | Prep | Damage) -> object:
    parameters = _encode(part)
    name = str(parameters.pop("kind")) if isinstance(part, Prep | Damage) else part.name
    return {name: parameters} if parameters else name


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def write_yaml(plain: Mapping[str, object]) -> str:
    """Plain values as YAML, keys in the order given, the innermost collections on one line each."""
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110))


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """The fast dumper where there is one, without anchors: a part used twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True
