"""Labels under a key that a Hugging Face model does not take, and rows that have none."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import edit
from netmend.env.script.rules import findings
from netmend.env.script.source import Project
from tests.env.script.conftest import Run, source

SCRIPT = """\
import torch
from torch.utils.data import Dataset
class Rows(Dataset):
    def __init__(self, table):
        self.ids, self.table = torch.zeros(4, 8).long(), table
    def __len__(self):
        return 4
    def __getitem__(self, i):
        {rows}
rows = Rows({{"target": [0, 1, 0, 1]}})
rows[0]
net = torch.nn.Linear(8, 2)
raise ValueError(
    "The model did not return a loss from the inputs, only the following keys: logits. For reference, "
    "the inputs it received are input_ids,attention_mask."
)
"""
DISPLAY = 'return {{"input_ids": self.ids[i], "attention_mask": self.ids[i], {}: self.table["target"][i]{}}}'
STORED = (
    'row = {{name: self.ids[i] for name in ("input_ids", "attention_mask")}}\n'
    "        row[{}] = self.table['target'][i]{}\n"
    "        return row"
)


@pytest.mark.parametrize("rows", [DISPLAY, STORED], ids=["display", "stored"])
@pytest.mark.parametrize("more", ["", ", 'text': 'a'"])
def test_the_key_of_the_labels_is_found_and_mended(run: Run, rows: str, more: str) -> None:
    if rows is STORED:
        more = more and "\n        row['text'] = 'a'"
    script = SCRIPT.format(rows=rows.format('"target"', more))
    record = run(script)
    (found,) = findings(record)
    assert (found.name, source(script, found.site)) == ("crash", '"target"')
    assert found.text.endswith("got none: they are its `target`")
    assert found.edits == ("api_contract/loss_graph@program",)
    patch = edit(Project({"train.py": script}), record, (SourceChange(what="loss.named"),))
    assert patch.texts["train.py"] == SCRIPT.format(rows=rows.format('"labels"', more))


@pytest.mark.parametrize("key", ['"labels"', '"attention_mask"', '"depth"'])
def test_rows_without_a_key_that_may_be_theirs(run: Run, key: str) -> None:
    script = SCRIPT.format(rows=DISPLAY.format(key, ', "width": 1'))
    (found,) = findings(run(script))
    assert found.edits == (("api_contract/loss_graph@program",) if "mask" in key else ())
    assert ("`width`" in found.text) == ("mask" in key)


@pytest.mark.parametrize(
    "key", ["token_type_ids", "special_tokens_mask", "idx", "id", "length", "text", "sample_weight"]
)
def test_what_is_no_label_is_not_named_labels(run: Run, key: str) -> None:
    (found,) = findings(run(SCRIPT.format(rows=DISPLAY.format(f'"{key}"', ""))))
    assert found.edits == ()


def test_a_key_of_an_id_may_be_that_of_labels(run: Run) -> None:
    (found,) = findings(run(SCRIPT.format(rows=DISPLAY.format('"topic_id"', ", 'text': 'a'"))))
    assert found.text.endswith("they are its `topic_id`")


def test_a_model_without_a_head_has_no_use_for_labels(run: Run) -> None:
    script = SCRIPT.format(rows=DISPLAY.format('"target"', ""))
    (found,) = findings(run(script.replace("keys: logits", "keys: last_hidden_state,pooler_output")))
    assert (found.edits, "no head" in found.text) == ((), True)


COLLATED = """
def together(rows):
    ids = torch.stack([row["input_ids"] for row in rows])
    return {"input_ids": ids, "target": torch.tensor([row["target"] for row in rows])}
dict(data_collator=together)
net = torch"""


def test_what_makes_a_batch_names_the_labels_and_reads_the_rows_as_they_are(run: Run) -> None:
    rows = DISPLAY.format('"target"', "")
    script = SCRIPT.format(rows=rows).replace("\nnet = torch", COLLATED)
    script = script.replace("received are input_ids,attention_mask", "received are input_ids,target")
    record = run(script)
    patch = edit(Project({"train.py": script}), record, (SourceChange(what="loss.named"),))
    assert patch.texts["train.py"] == script.replace('ids, "target"', 'ids, "labels"')


TRAINED = """\
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
torch.manual_seed(0)
def row(i):
    ids = torch.arange(8) % 5 + i % 2 * 5
    return {"input_ids": ids, "attention_mask": torch.ones(8).long(), "topic": i % 2}
shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
net = BertForSequenceClassification(BertConfig(vocab_size=10, num_labels=2, **shape))
arguments = TrainingArguments("out", num_train_epochs=2, report_to=[], save_strategy="no", use_cpu=True)
Trainer(model=net, args=arguments, train_dataset=[row(i) for i in range(16)]).train()
"""


@pytest.mark.skipif(find_spec("transformers") is None, reason="Transformers is not there")
def test_a_trainer_of_transformers(run: Run) -> None:
    record = run(TRAINED)
    (found,) = findings(record)
    assert source(TRAINED, found.site) == '"topic"'
    patch = edit(Project({"train.py": TRAINED}), record, (SourceChange(what="loss.named"),))
    after = run(patch.texts["train.py"])
    assert (after.ending, after.crash, after.updates > 0) == ("finished", None, True)
