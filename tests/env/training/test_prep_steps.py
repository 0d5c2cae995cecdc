"""Each preparation step on its own, and what holds for every sequence of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from netmend.env.program import PREPS, Data, Dense, MisfitError, Optimizer, Prep, Program, Task, prepared_task
from netmend.env.training.prep_steps import Affine, chain, fit, through_half
from netmend.env.training.scales import moments, spread, unscaled

ON_INPUTS = [kind for kind in PREPS if not kind.endswith("_target") and kind != "balance"]
NAN, INF = np.nan, np.inf
ROWS = np.array([[1.0, 10.0], [3.0, 30.0], [NAN, 20.0], [2.0, INF]])


def done(x, *steps, other=None):
    """Rows after the steps, fitted on ``x``."""
    return chain(fit(steps, x))(x if other is None else other)


def step(kind, **changes):
    return Prep(kind=kind, **changes)


def test_missing_values_become_the_mean_of_their_feature():
    assert done(ROWS, step("fill_missing", factor=0)).tolist() == [[1, 10], [3, 30], [2, 20], [2, 20]]
    other = np.array([[NAN, -INF]])
    assert done(ROWS, step("fill_missing", factor=0), other=other).tolist() == [[2, 20]]


def test_a_marker_stands_for_a_missing_value():
    x = np.array([[0.1], [5.0], [7.0]], np.float32).astype(np.float64)
    assert done(x, step("fill_missing", factor=0.1)).tolist() == [[6], [5], [7]]
    assert done(x, step("fill_missing", factor=0)).tolist() == x.tolist()


def test_a_feature_that_is_missing_everywhere_becomes_0():
    assert done(np.full((3, 1), NAN), step("fill_missing", factor=0)).tolist() == [[0]] * 3


def test_outliers_are_cut_at_3_deviations():
    x = np.append(np.tile([-1.0, 1.0], 50), 100.0)[:, None]
    cut = done(x, step("clip_outliers"))
    assert cut.max() == pytest.approx(x.mean() + 3 * x.std())
    assert np.array_equal(cut[:-1], x[:-1])
    other = np.array([[-1e9], [NAN], [INF]])
    assert np.isnan(done(x, step("clip_outliers"), other=other)[1])
    assert done(x, step("clip_outliers"), other=other)[2] == cut.max()


def test_values_are_fitted_per_channel_wherever_the_steps_have_put_it():
    x = np.random.default_rng(0).normal([[[1.0, 50.0]]], [[[1.0, 9.0]]], (40, 5, 2))
    scaled = done(x, step("channels_first"), step("standardize"))
    assert scaled.shape == (40, 2, 5)
    np.testing.assert_allclose(scaled.mean((0, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std((0, 2)), 1)
    single = done(x, step("add_axis"), step("standardize"))
    assert single.std() == pytest.approx(1)
    assert abs(single[..., 0].mean()) > 0.5


def test_statistics_are_those_of_the_rows_as_they_are_at_that_point():
    x = np.array([[1.0], [3.0], [NAN]])
    filled_first = done(x, step("fill_missing", factor=0), step("min_max"))
    assert filled_first.tolist() == [[0], [1], [0.5]]
    assert np.isnan(done(x, step("min_max"), step("fill_missing", factor=0))).sum() == 0
    assert done(x, step("scale", factor=10), step("fill_missing", factor=0))[2] == 20
    scaled = done(x, step("scale", factor=10), step("fill_missing", factor=0), step("standardize"))
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1))


def test_shapes():
    x = np.arange(24.0).reshape(2, 3, 4)
    assert done(x, step("add_axis")).tolist() == x[:, None].tolist()
    assert done(x[:, :, None], step("drop_axis")).tolist() == x.tolist()
    assert done(x, step("channels_last")).tolist() == x.transpose(0, 2, 1).tolist()
    assert done(x, step("flatten")).tolist() == x.reshape(2, 12).tolist()
    assert done(x, step("resize", size=2)).tolist() == x[..., :2].tolist()
    assert done(x, step("resize", size=6))[..., 4:].tolist() == np.zeros((2, 3, 2)).tolist()


@pytest.mark.parametrize(
    ("height", "width", "size"), [(8, 8, 4), (8, 6, 16), (5, 9, 7), (1, 3, 2), (4, 4, 4)]
)
def test_images_are_resized_as_in_pytorch(height, width, size):
    x = np.random.default_rng(0).normal(0, 1, (3, 2, height, width))
    expected = F.interpolate(torch.tensor(x), (size, size), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(done(x, step("resize", size=size)), expected.numpy(), atol=1e-12)


def test_volumes_are_resized_along_every_axis():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 7, 5))
    expected = F.interpolate(torch.tensor(x), (6, 6, 6), mode="trilinear")
    np.testing.assert_allclose(done(x, step("resize", size=6)), expected.numpy(), atol=1e-12)


def test_neighbours_that_are_affine_become_one():
    kinds = ["standardize", "scale", "clip_outliers", "shift", "min_max", "flatten"]
    parts = chain(fit([step(kind, factor=2.0) for kind in kinds], np.ones((4, 3)))).parts
    assert [isinstance(part, Affine) for part in parts] == [True, False, True, False]


def test_half_precision():
    rounded = chain([through_half])(np.array([1 / 3, 1e9, 1e-9, NAN]))
    assert rounded.tolist()[:3] == [float(np.float16(1 / 3)), INF, 0]


def test_scales_look_at_finite_values_only():
    mean, deviation = moments(np.column_stack([ROWS, np.full(4, NAN)]))
    assert mean.tolist() == [2, 20, 0]
    np.testing.assert_allclose(deviation, [np.sqrt(2 / 3), np.sqrt(200 / 3), 0])
    assert np.isfinite([unscaled(mean, deviation), spread(deviation)]).all()


SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
STEPS = st.lists(
    st.builds(
        Prep,
        kind=st.sampled_from(ON_INPUTS),
        factor=st.sampled_from([0.5, 1.0, -3.0]),
        size=st.integers(1, 5),
        rows=st.sampled_from(["all", "train"]),
    ),
    max_size=5,
).map(tuple)
NUMBERS = st.one_of(st.floats(-100, 100, width=32), st.sampled_from([NAN, INF, -INF, 1.0]))


def row_shape(shape, steps):
    task = Task(dataset="x", kind="regression", input_shape=shape, outputs=1)
    data = Data(dataset="x", prep=steps)
    own = Program(data=data, layers=(Dense(units=1),), loss="mse", optimizer=Optimizer())
    return prepared_task(own, task).input_shape


@given(shape=SHAPES, steps=STEPS, data=st.data())
@settings(max_examples=150, deadline=None)
def test_rows_have_the_shape_that_the_program_says(shape, steps, data):
    try:
        expected = row_shape(shape, steps)
    except MisfitError:
        assume(False)
    x = data.draw(arrays.arrays(np.float64, (4, *shape), elements=NUMBERS))
    kept = x.copy()
    made = chain(fit(steps, x))
    assert made(x).shape == (4, *expected)
    assert made(x[:1]).shape == (1, *expected)
    np.testing.assert_array_equal(x, kept)


@given(shape=SHAPES, steps=STEPS, marker=st.sampled_from([0.0, 1.0, -3.0]), data=st.data())
@settings(max_examples=150, deadline=None)
def test_nothing_is_missing_after_filling(shape, steps, marker, data):
    steps = tuple(replace(one, factor=1.0) if one.kind == "scale" else one for one in steps)
    steps = (*steps, step("fill_missing", factor=marker))
    try:
        row_shape(shape, steps)
    except MisfitError:
        assume(False)
    x, other = (data.draw(arrays.arrays(np.float64, (4, *shape), elements=NUMBERS)) for _ in range(2))
    made = chain(fit(steps, x))
    assert np.isfinite(made(x)).all()
    assert np.isfinite(made(other)).all()
