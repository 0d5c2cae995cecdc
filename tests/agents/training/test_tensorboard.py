"""What TensorBoard is given, read back from the files of short trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from netmend.agents.report.runs import TENSORBOARD, read_runs
from netmend.agents.tensorboard import METRICS
from netmend.agents.train import train
from netmend.agents.verbs.config import ConfigError, check
from netmend.agents.verbs.train import LONGEST_NAME, TrainConfig, name_of, resumed_config
from netmend.env.training.front import TrialFront
from netmend.env.training.trial import Curves, Trial, TrialRequest
from tests.agents.training.conftest import InstantTrainer, World, open_world
from tests.agents.training.test_imitation import teach, with_steps
from tests.agents.training.test_train import PARAMS, quiet, with_agent

MOST_SCALARS = 40


class Drawing(InstantTrainer):
    """Its trials have curves of two epochs."""

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        curves = Curves(train_score=(0.1, 0.2), validation_score=(0.1, 0.3))
        return [replace(trial, curves=curves) for trial in super().run(requests)]


def read(config: TrainConfig, folder: Path) -> EventAccumulator:
    train(config, folder, quiet(), lambda _: TrialFront(Drawing()))
    place = folder / TENSORBOARD / (config.name or "")
    return EventAccumulator(str(place), size_guidance={"tensors": 0, "scalars": 0, "images": 0}).Reload()


@pytest.fixture(scope="module")
def both_stages(tmp_path_factory: pytest.TempPathFactory) -> EventAccumulator:
    with pytest.MonkeyPatch.context() as patch:
        taught = teach(open_world(patch), patch)
        everything = replace(taught.actions, names=["*"])
        config = replace(with_steps(taught, 64), actions=everything)
        return read(config, tmp_path_factory.mktemp("both") / "run")


def test_there_are_few_scalars_and_those_that_a_person_wants_come_first(
    both_stages: EventAccumulator,
) -> None:
    tags = sorted(both_stages.Tags()["scalars"])
    assert len(tags) <= MOST_SCALARS
    assert tags[:6] == [
        f"at_a_glance/{name}"
        for name in ("fixed_at_1", "fixed_at_2", "fixed_at_5", "from_store", "return", "trials_per_second")
    ]
    assert {"imitation/accuracy", "imitation/fixed", "patterns/optimizer", "train/value_loss"} <= set(tags)
    assert sum(tag.startswith("patterns/") for tag in tags) == 15 + 1  # those of the study, and the recipes
    assert all(math.isfinite(point.value) for tag in tags for point in both_stages.Scalars(tag))
    at = [both_stages.Scalars(f"at_a_glance/fixed_at_{count}")[-1] for count in (1, 2, 5)]
    assert [point.step for point in at] == [65] * 3
    assert 0 <= at[0].value <= at[1].value <= at[2].value == 1
    used = [both_stages.Scalars(tag)[-1].value for tag in tags if tag.startswith("patterns/")]
    assert 0 < sum(used) < 1  # the rest of the steps are trials


@pytest.mark.parametrize("algorithm", PARAMS)
def test_every_agent_keeps_to_the_bound(world: World, run_folder: Path, algorithm: str) -> None:
    events = read(with_agent(world.config, algorithm), run_folder)
    assert len(events.Tags()["scalars"]) <= MOST_SCALARS
    assert {"at_a_glance/return", "train/learning_rate"} <= set(events.Tags()["scalars"])


def test_the_rest_are_histograms_pictures_and_texts(both_stages: EventAccumulator) -> None:
    tags = both_stages.Tags()
    assert set(tags["histograms"]) == {
        *("choices/actions", "choices/earning"),
        *("repair/training/returns", "trials/skill"),
    }
    assert both_stages.Histograms("choices/actions")[0].histogram_value.num == 32  # steps of an update
    assert set(tags["images"]) == {f"curves/validation-{name}" for name in ("unscaled", "slow", "linear")}
    assert (both_stages.Images("curves/validation-slow")[0].width, len(tags["images"])) == (600, 3)
    texts = {tag.removesuffix("/text_summary") for tag in tags["tensors"]}
    assert {"configuration", "traces/0"} <= texts
    told = both_stages.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "algorithm: maskable_ppo" in told
    assert (
        "validation-" in both_stages.Tensors("traces/0/text_summary")[0].tensor_proto.string_val[0].decode()
    )


def test_the_layout_names_tags_that_there_are(both_stages: EventAccumulator) -> None:
    (event, *_) = both_stages.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    assert [category.title for category in layout.category] == ["At a glance", "Imitation"]
    tags = both_stages.Tags()["scalars"]
    for category in layout.category:
        for chart in category.chart:
            for pattern in chart.multiline.tag:
                assert any(tag.startswith(pattern.partition(".*")[0]) for tag in tags), pattern


def test_hyper_parameters_stand_against_the_fixed_share(both_stages: EventAccumulator) -> None:
    found = both_stages.summary_metadata
    experiment, started = (
        HParamsPluginData.FromString(found[f"_hparams_/{tag}"].plugin_data.content)
        for tag in ("experiment", "session_start_info")
    )
    named = [info.name.tag for info in experiment.experiment.metric_infos]
    assert named == list(METRICS)
    assert set(named) <= set(both_stages.Tags()["scalars"])
    assert started.session_start_info.hparams["imitation.lessons"].number_value == 40


def test_a_run_has_the_name_of_what_was_typed(world: World, tmp_path: Path) -> None:
    words = ["seed=3", "policy='a b/c'", "agent.params={gamma: 0.9}", "training.store=x", "data_dir=y"]
    assert name_of(words) == "seed=3,policy=_a_b_c_,agent.params=_gamma__0.9_"
    assert name_of(["resume=runs/train/RUN"]) is None
    assert len(str(name_of(["x=" + 500 * "y"]))) == LONGEST_NAME
    named = replace(world.config, name="seed=3")
    assert "at_a_glance/return" in read(named, tmp_path / "run").Tags()["scalars"]
    (run,) = read_runs([tmp_path / "run"])
    assert [step for step, _ in run.learnt] == [64, 128, 129]
    assert resumed_config(tmp_path / "run", []).name == "seed=3"
    for wrong in ("a/b", "..", "x" * (LONGEST_NAME + 1)):
        with pytest.raises(ConfigError, match="name: up to"):
            check(replace(world.config, name=wrong))
