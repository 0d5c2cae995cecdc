"""What an archive of arrays claims is checked before anything is allocated."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from netmend.env.data.archive import read_arrays
from netmend.env.errors import DataError


def written(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return path


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def array(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


@pytest.mark.parametrize(
    "values", [np.arange(6.0).reshape(2, 3).T, np.zeros((0, 2)), np.array(["a", "bc"]), np.array(3)]
)
def test_what_numpy_writes_is_read(values: np.ndarray, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=values, other=np.arange(3))
    arrays, names = read_arrays(tmp_path / "a.npz")
    np.testing.assert_array_equal(arrays["x"], values)
    assert (set(arrays), names) == ({"x"}, {"x", "other"})


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (
            header("(1000000, 1000000)"),
            r"x is said to be float32 of shape \(1000000, 1000000\), which it is not",
        ),
        (header("(-1,)"), "which it is not"),
        (header("(1,)", "|O"), "x holds dtype"),
        (b"plain text", "x is no array"),
        (header("(" * 5000), "x is no array"),
    ],
)
def test_a_header_that_is_not_true_is_one_line(raw: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        read_arrays(written(tmp_path / "a.npz", {"x.npy": raw}))
    assert "\n" not in str(caught.value)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as one,
    ):
        for _ in range(257):
            one.write(bytes(1_000_000))
    with pytest.raises(DataError, match="x is of 257,000,000 bytes; at most 256,000,000 in all are read"):
        read_arrays(tmp_path / "a.npz")


def test_odd_archives(tmp_path: Path) -> None:
    many = written(tmp_path / "many.npz", {f"{'a' * 100}{number}": b"" for number in range(8000)})
    with pytest.raises(DataError, match="too many entries"):
        read_arrays(many)
    packed = written(tmp_path / "lzma.npz", {"x.npy": array(np.zeros(3))}, zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match="compressed in a way that numpy does not write"):
        read_arrays(packed)
    raw = bytearray(
        written(tmp_path / "a.npz", {"x.npy": array(np.zeros(300))}, zipfile.ZIP_STORED).read_bytes()
    )
    raw[600] ^= 1
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(DataError, match="Bad CRC-32"):
        read_arrays(tmp_path / "a.npz")
