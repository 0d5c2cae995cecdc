"""Mutation operators for transformers: heads, positions, and where the normalisation stands."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.bugs.mutation import Mutation, Operator, left_out, on_layers
from netmend.env.program.layers import Attention, Position
from netmend.env.program.schema import Program
from netmend.env.program.shapes import infer_shapes, prepared_task
from netmend.env.program.task import Task


def _heads(program: Program, task: Task) -> Iterator[Mutation]:
    task = prepared_task(program, task)
    shapes = (task.input_shape, *infer_shapes(program.layers, task))
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Attention):
            features = shapes[site][0]
            for heads in (3, 5, 6, 7, 12):
                if features % heads:
                    text = f"heads {layer.heads} -> {heads}, which {features} features cannot be split among"
                    yield on_layers(f"{text} (layer {site})", [site], "heads", heads=heads)


def _short_table(program: Program, task: Task) -> Iterator[Mutation]:
    task = prepared_task(program, task)
    shapes = (task.input_shape, *infer_shapes(program.layers, task))
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Position):
            steps = shapes[site][1]
            for rows in sorted({steps - 1, steps // 2} - {0}):
                text = f"positions for {rows} of {steps} steps (layer {site})"
                yield on_layers(text, [site], "declared inputs", steps=rows)


def _no_positions(program: Program, _task: Task) -> Iterator[Mutation]:
    return (left_out(i, "positions") for i, layer in enumerate(program.layers) if isinstance(layer, Position))


def _norms(program: Program, _task: Task) -> Iterator[Mutation]:
    for site, layer in enumerate(program.layers):
        if isinstance(layer, Attention):
            if layer.norm == "before":
                text = f"normalisation behind the sums (layer {site})"
                yield on_layers(text, [site], "normalisation", norm="behind")
            yield on_layers(f"no normalisation (layer {site})", [site], "normalisation", norm="none")


TRANSFORMER_OPERATORS = (
    Operator("xhe", "layers", "heads that do not divide the features", _heads, ("build",)),
    Operator("xpo", "layers", "positions for too few steps", _short_table, ("forward",)),
    Operator("lpo", "layers", "positions left out", _no_positions, ()),
    Operator("lan", "layers", "normalisation of an attention moved or left out", _norms, ()),
)
