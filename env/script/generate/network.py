"""The source of a network in one of five forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from netmend.env.program import Dense, Program, Skip, Task
from netmend.env.script.generate.pieces import ACTIVATIONS, Piece, pieces_of
from netmend.env.script.generate.style import Network, Words

RESIDUAL = (
    "class Residual(nn.Module):",
    "    def __init__(self, body):",
    "        super().__init__()",
    "        self.body = body",
    "",
    "    def forward(self, x):",
    "        return x + self.body(x)",
)
ACTIVATION_STEMS = {name.replace("_", "") for name in ACTIVATIONS}
STATELESS = ACTIVATION_STEMS | {"pool", "flatten", "dropout", "pad"}
"""Stems of modules of which people make one and apply it in several places."""


@dataclass(frozen=True)
class Written:
    """A network as source.

    Attributes:
        classes: the lines of each of its classes.
        made: expression that constructs it, a line each.
        output: how the output layer is reached from the network (``.fc2``, ``[4]``).
    """

    classes: tuple[tuple[str, ...], ...]
    made: tuple[str, ...]
    output: str

    @property
    def prefix(self) -> str:
        """Dotted name of the output layer."""
        return self.output.replace("[", ".").replace("]", "").removeprefix(".")


def fits(network: Network, program: Program, task: Task) -> bool:
    """Whether a program can be written in a form."""
    if network in ("modules", "functional"):
        return True
    spans = [set(range(i - s.back, i)) for i, s in enumerate(program.layers) if isinstance(s, Skip)]
    if any(one & other for i, one in enumerate(spans) for other in spans[:i]):
        return False
    pieces = pieces_of(program, task)
    inside = [piece for piece in pieces if any(piece.layer in span for span in spans)]
    chained = inside if network == "nested" else pieces
    return all(piece.chains or _is_skip(program, piece) for piece in chained)


def write_network(program: Program, task: Task, form: Network, words: Words) -> Written:
    """The network of a program in a form that fits it."""
    pieces = pieces_of(program, task)
    if form == "sequential":
        elements = _elements(program, pieces)
        made = ("nn.Sequential(", *_indented(_entries(elements)), ")")
        return Written(_residual(made), made, f"[{_output(elements)}]")
    if form == "list":
        sizes = _sizes_of_a_plain_network(program, task)
        return _looped(program, sizes, words) if sizes else _listed(program, pieces, words)
    if form == "nested":
        return _nested(program, pieces, words)
    return _subclass(program, pieces, words, functional=form == "functional")


def _is_skip(program: Program, piece: Piece) -> bool:
    return isinstance(program.layers[piece.layer], Skip) and not piece.module


def _indented(lines: Sequence[str], by: int = 1) -> list[str]:
    return [f"{'    ' * by}{line}" if line else "" for line in lines]


def _residual(lines: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return (RESIDUAL,) if any("Residual(" in line for line in lines) else ()


def _class(words: Words, made: Sequence[str], forward: Sequence[str], arguments: str = "") -> tuple[str, ...]:
    return (
        f"class {words.network}(nn.Module):",
        f"    def __init__(self{arguments}):",
        "        super().__init__()",
        *_indented(made, 2),
        "",
        "    def forward(self, x):",
        *_indented(forward, 2),
    )


@dataclass(frozen=True)
class _Element:
    """A module of a sequence: one piece, or those that a skip spans."""

    pieces: tuple[Piece, ...]
    residual: bool = False

    @property
    def module(self) -> str:
        inside = ", ".join(piece.module for piece in self.pieces)
        return f"Residual(nn.Sequential({inside}))" if self.residual else inside


def _elements(program: Program, pieces: Sequence[Piece]) -> list[_Element]:
    elements: list[_Element] = []
    for piece in pieces:
        if not _is_skip(program, piece):
            elements.append(_Element((piece,)))
            continue
        layer = program.layers[piece.layer]
        assert isinstance(layer, Skip)
        start = piece.layer - layer.back
        inside = [part for element in elements for part in element.pieces if part.layer >= start]
        elements = [e for e in elements if e.pieces[0].layer < start]
        elements.append(_Element(tuple(inside), residual=True))
    return elements


def _entries(elements: Sequence[_Element]) -> list[str]:
    return [f"{element.module}," for element in elements]


def _output(elements: Sequence[_Element]) -> int:
    """Position of the last element that holds a kernel."""
    weighted = [i for i, e in enumerate(elements) if any(p.name not in STATELESS for p in e.pieces)]
    return weighted[-1]


def _attributes(pieces: Sequence[Piece], *, functional: bool) -> dict[int, str]:
    """The attribute of each piece that has a module, by its place."""
    kept = [(i, p) for i, p in enumerate(pieces) if p.module and not (functional and p.function)]
    modules = {(p.name, p.module) if p.name in STATELESS else (p.name, p.module, i): i for i, p in kept}
    many = Counter(key[0] for key in modules)
    names, seen = {}, Counter[str]()
    by_key: dict[tuple[object, ...], str] = {}
    for i, piece in kept:
        key = (piece.name, piece.module) if piece.name in STATELESS else (piece.name, piece.module, i)
        if key not in by_key:
            seen[piece.name] += 1
            by_key[key] = piece.name + (str(seen[piece.name]) if many[piece.name] > 1 else "")
        names[i] = by_key[key]
    return names


def _subclass(program: Program, pieces: list[Piece], words: Words, *, functional: bool) -> Written:
    names = _attributes(pieces, functional=functional)
    made = list(dict.fromkeys(f"self.{name} = {pieces[i].module}" for i, name in names.items()))
    parts = [(piece, f"self.{names[i]}" if i in names else "") for i, piece in enumerate(pieces)]
    output = [name for i, name in names.items() if pieces[i].name not in STATELESS][-1]
    starts = {i - layer.back for i, layer in enumerate(program.layers) if isinstance(layer, Skip)}
    forward = list(_statements(parts, starts))
    return Written((_class(words, made, forward),), (f"{words.network}()",), f".{output}")


def _statements(parts: Sequence[tuple[Piece, str]], starts: set[int]) -> Iterator[str]:
    """The forward pass; an activation stands in one expression with the kernel in front of it.

    Args:
        parts: pieces, and what each calls, empty for a function.
        starts: layers whose input is added again further on.
    """
    value = "x"
    for at, (piece, called) in enumerate(parts):
        begins = at == 0 or parts[at - 1][0].layer != piece.layer
        if begins and piece.layer in starts:
            yield from _assigned(value)
            yield "identity = x"
            value = "x"
        if piece.lines:
            yield from _assigned(value)
            yield from (line.format(m=called) for line in piece.lines)
            value = "x"
            continue
        activates = piece.name in ACTIVATION_STEMS
        if not (activates and value.startswith("self.")) and value != "x":
            yield from _assigned(value)
            value = "x"
        value = f"{called}({value})" if called else piece.function.format(x=value)
    yield f"return {value}"


def _assigned(value: str) -> Iterator[str]:
    if value != "x":
        yield f"x = {value}"


def _listed(program: Program, pieces: list[Piece], words: Words) -> Written:
    elements = _elements(program, pieces)
    made = ("self.layers = nn.ModuleList([", *_indented(_entries(elements)), "])")
    lines = _class(words, made, ("for layer in self.layers:", "    x = layer(x)", "return x"))
    return Written((*_residual(made), lines), (f"{words.network}()",), f".layers[{_output(elements)}]")


def _sizes_of_a_plain_network(program: Program, task: Task) -> list[int]:
    """Numbers of features from the input on, of dense layers that differ in nothing else; else none."""
    layers = [layer for layer in program.layers if isinstance(layer, Dense)]
    hidden = {layer.activation for layer in layers[:-1]}
    plain = len(hidden) == 1 and hidden <= ACTIVATIONS.keys() - {"softmax"}
    if len(layers) != len(program.layers) or not plain or len(task.input_shape) > 1:
        return []
    sizes = [task.input_shape[0], *(layer.units for layer in layers)]
    right = all(x.bias and x.inputs in (None, n) for x, n in zip(layers, sizes, strict=False))
    return sizes if right and not task.vocabulary else []


def _looped(program: Program, sizes: list[int], words: Words) -> Written:
    """A network that is made in a loop over its sizes."""
    first, last = program.layers[0], program.layers[-1]
    assert isinstance(first, Dense)
    assert isinstance(last, Dense)
    made = (
        "self.hidden = nn.ModuleList()",
        "for n_in, n_out in zip(sizes[:-2], sizes[1:-1]):",
        "    self.hidden.append(nn.Linear(n_in, n_out))",
        "self.out = nn.Linear(sizes[-2], sizes[-1])",
    )
    end = ACTIVATIONS[last.activation][1] if last.activation != "linear" else "{x}"
    forward = (
        "for layer in self.hidden:",
        f"    x = {ACTIVATIONS[first.activation][1].format(x='layer(x)')}",
        f"return {end.format(x='self.out(x)')}",
    )
    return Written((_class(words, made, forward, ", sizes"),), (f"{words.network}({sizes})",), ".out")


def _nested(program: Program, pieces: list[Piece], words: Words) -> Written:
    """A network of sequences, with what cannot stand in one between them."""
    runs = groupby(_elements(program, pieces), lambda element: all(p.chains for p in element.pieces))
    groups = [
        group
        for chains, run in runs
        for group in (_halves(list(run)) if chains else [[element] for element in run])
    ]
    stems = {2: ("features", "classifier"), 3: ("stem", "features", "head")}
    names = stems.get(len(groups), [f"block{i}" for i in range(1, len(groups) + 1)])
    made: list[str] = []
    parts: list[tuple[Piece, str]] = []
    output, counts = "", Counter[str]()
    for group, stem in zip(groups, names, strict=True):
        first, name = group[0].pieces[0], stem
        if len(group) > 1 or group[0].residual:
            made += [f"self.{name} = nn.Sequential(", *_indented(_entries(group)), ")"]
            parts.append((Piece(layer=first.layer, module="nn.Sequential"), f"self.{name}"))
        elif first.module:
            counts[first.name] += 1
            name = f"{first.name}{counts[first.name]}" if counts[first.name] > 1 else first.name
            made.append(f"self.{name} = {first.module}")
            parts.append((first, f"self.{name}"))
        else:
            parts.append((first, ""))
        if any(p.module and p.name not in STATELESS for e in group for p in e.pieces):
            output = f".{name}[{_output(group)}]" if len(group) > 1 else f".{name}"
    lines = _class(words, made, list(_statements(parts, set())))
    return Written((*_residual(made), lines), (f"{words.network}()",), output)


def _halves(run: list[_Element]) -> list[list[_Element]]:
    """A sequence in two where it is long: in front of the flattening, or of the last kernel."""
    if len(run) < 3:
        return [run]
    flat = [i for i, e in enumerate(run) if e.pieces[0].name == "flatten" and 0 < i < len(run) - 1]
    cut = flat[0] if flat else _output(run)
    return [run[:cut], run[cut:]] if 0 < cut < len(run) else [run]
