"""What the name of a printed figure says of it: an error of which less is better, or a loss."""

from __future__ import annotations

import re

_OF_LOSS = ("mse", "rmse", "msle", "rmsle", "mae", "mape", "smape", "perplexity", "ppl", "bpc", "bpd", "nll")
_OTHER = ("err", "errs", "wer", "cer", "eer", "ece", "brier", "fid", "fpr", "fnr", "nan", "nans", "regret")
_MEANS = ("mean", "squared", "absolute")
_TURNED = ("neg", "negated", "minus", "inv", "inverse", "free", "reduction", "improvement", "skill")
"""Words with which more of an error is better."""
_SUBTRACTED = re.compile(r"\W*1?\s*-")
"""How ``1 - error`` and ``-error`` begin."""


def less_is_better(name: str) -> bool:
    """Whether a figure is an error, and not the negative of one."""
    words = _words(name)
    if _is_likelihood(words):
        return any(map(_is_negative, words)) or "nll" in words
    if _SUBTRACTED.match(name) or (words[:1] == ["negative"] and "class" not in words):
        return False
    return has_units(name) and not any(word in _TURNED for word in words)


def has_units(name: str) -> bool:
    """Whether a figure is an error, or the negative of one: in other units it is another number."""
    words = _words(name)
    named = any(re.sub(r"\d+$", "", word) in (*_OF_LOSS, *_OTHER) or _is_error(word) for word in words)
    return named or _is_likelihood(words) or ("false" in words and bool({"positive", "negative"} & {*words}))


def may_be_of_loss(name: str) -> bool:
    """Whether an error may be computed by the loss that is trained."""
    words = _words(name)
    return _is_likelihood(words) or any(re.sub(r"\d+$", "", word) in (*_OF_LOSS, *_MEANS) for word in words)


def is_loss(name: str) -> bool:
    """Whether a figure is a loss: an edit may change what it means."""
    words = _words(name)
    return any(word.endswith(("loss", "losses")) for word in words) or {"cross", "entropy"} <= {*words}


def size_of_error(name: str, value: float) -> float:
    """How large an error is: signs tell its direction, or that of a scorer, but for a likelihood."""
    return value if _is_likelihood(_words(name)) else abs(value)


def _is_error(word: str) -> bool:
    return word.endswith(("error", "errors")) and word not in ("terror", "terrors")


def _is_likelihood(words: list[str]) -> bool:
    return "nll" in words or ("log" in words and any(word.startswith("lik") for word in words))


def _is_negative(word: str) -> bool:
    return word in ("neg", "negative", "negated")


def _words(name: str) -> list[str]:
    """In small letters, ``valError`` as two."""
    return re.findall(r"[a-z]+\d*|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
