"""Mutation operators for transformers: heads, positions, and where the normalisation stands."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.bugs.faults import crash_operator, left_out, of_layer, silent_operator
from netmend.env.bugs.mutation import Draw, Mutation
from netmend.env.program.layers import Attention, Position
from netmend.env.program.shapes import infer_shapes, prepared_task


def _heads(draw: Draw) -> Iterator[Mutation]:
    task = prepared_task(draw.program, draw.task)
    shapes = (task.input_shape, *infer_shapes(draw.program.layers, task))
    for site, layer in enumerate(draw.program.layers):
        if isinstance(layer, Attention):
            features = shapes[site][0]
            for heads in (3, 5, 6, 7, 12):
                if features % heads:
                    text = f"heads {layer.heads} -> {heads}, which {features} features cannot be split among"
                    yield of_layer(text, site, "heads", heads=heads)


def _short_table(draw: Draw) -> Iterator[Mutation]:
    task = prepared_task(draw.program, draw.task)
    shapes = (task.input_shape, *infer_shapes(draw.program.layers, task))
    for site, layer in enumerate(draw.program.layers):
        if isinstance(layer, Position):
            steps = shapes[site][1]
            for rows in sorted({steps - 1, steps // 2} - {0}):
                text = f"positions for {rows} of {steps} steps"
                yield of_layer(text, site, "declared inputs", steps=rows)


def _no_positions(draw: Draw) -> Iterator[Mutation]:
    for site, layer in enumerate(draw.program.layers):
        if isinstance(layer, Position):
            yield left_out(site, "positions")


def _norms(draw: Draw) -> Iterator[Mutation]:
    for site, layer in enumerate(draw.program.layers):
        if isinstance(layer, Attention):
            if layer.norm == "before":
                yield of_layer("normalisation behind the sums", site, "normalisation", norm="behind")
            yield of_layer("no normalisation", site, "normalisation", norm="none")


TRANSFORMER_OPERATORS = (
    crash_operator("xhe", "layers", "heads that do not divide the features", _heads, "build"),
    crash_operator("xpo", "layers", "positions for too few steps", _short_table, "forward"),
    silent_operator("lpo", "layers", "positions left out", _no_positions),
    silent_operator("lan", "layers", "normalisation of an attention moved or left out", _norms),
)
