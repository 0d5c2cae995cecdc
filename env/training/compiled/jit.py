"""Functions that numba compiles when they are first needed, and calls to them by their address.

A kernel has a fixed signature and is compiled alone, so that a program pays for the kinds of layers that it
has, and the loop over layers does not grow with their number: it calls what stands in its table.
"""

from __future__ import annotations

import fcntl
import hashlib
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.core import caching, cgutils, config
from numba.core.runtime import rtsys
from numba.extending import intrinsic

SAID_AFTER = 2.0
"""Seconds of compiling after which one line says what takes so long."""
LOCK = "compiling.lock"
OPTIONS: dict[str, Any] = {
    "nogil": True,
    # The default checks every division, so that loops with one are not vectorised.
    "error_model": "numpy",
    # Without nnan and ninf: what is no number has to be seen.
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}
_waited = [0.0, 0.0]  # seconds of compiling so far, and whether it was said

F4, F4_2, I2, I8, I8_2, F8, F8_2 = (
    types.float32[::1],
    types.float32[:, ::1],
    types.int16[::1],
    types.int64[::1],
    types.int64[:, ::1],
    types.float64[::1],
    types.float64[:, ::1],
)
INT, REAL = types.int64, types.float32
LAYER = types.void(F4, I2, I8, INT, INT, INT)
"""Arena, dropout bits, row of the table, rows of the batch, mode, first row of the batch in its epoch."""
LOSS = types.void(F4_2, F4_2, F4_2, F4)
"""Outputs and targets of rows; where the gradient of each row's loss goes, and its loss."""
STEP = types.void(F4, F4, F4, F4, F8, INT, types.float64)
"""Values, gradient, two states of the optimizer, its numbers, how many steps this makes, the rate."""


class CompiledError(Exception):
    """Compiled code is wrong; no program can be blamed for it."""


class Kernel:
    """A function with one signature, compiled when its address is asked for.

    Attributes:
        function: what the compiler makes of it, to be called from other compiled functions or from Python.
    """

    def __init__(self, function: Callable[..., Any], signature: Any) -> None:
        self.function = njit(**OPTIONS)(function)
        self._signature = signature

    def __call__(self, *arguments: Any) -> Any:
        """Call it from Python.

        Raises:
            CompiledError: it found an index or a size that is wrong.
        """
        assert self.address
        try:
            return self.function(*arguments)
        except (IndexError, ValueError, SystemError) as error:
            raise CompiledError(f"{self.function.__name__}: {error}") from error

    @cached_property
    def address(self) -> int:
        """Where the compiled code begins."""
        began = time.perf_counter()
        with_cache = _cache_of()
        with ExitStack() as alone:
            if with_cache is not None:
                own = self.function._cache = with_cache(self.function.py_func)
                if not own.has(self._signature, self.function.targetctx):
                    alone.enter_context(_one_at_a_time(Path(own.cache_path), self.function.__qualname__))
            self.function.compile(self._signature)
        if not self.function.stats.cache_hits:
            _waited[0] += time.perf_counter() - began
            _say_the_wait()
        made = self.function.overloads[self._signature.args]
        return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


def helper(function: Callable[..., Any]) -> Any:
    """A function that others inline or call; compiled with the first of them, and kept with each.

    Python cannot call it: what would let it takes a tenth of all the compiling.
    """
    return njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)


def kernel(signature: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function with this signature a kernel."""
    return lambda function: Kernel(function, signature)


def calling(signature: Any) -> Any:
    """A function ``call(address, arguments)`` for compiled code; errors pass through it."""

    @intrinsic
    def call(_typing: Any, address: Any, arguments: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            convention, result = context.call_conv, signature.return_type
            form = convention.get_function_type(result, signature.args)
            function = builder.inttoptr(values[0], form.as_pointer())
            own = [builder.extract_value(values[1], place) for place in range(len(signature.args))]
            status, returned = convention.call_function(builder, function, result, signature.args, own)
            with cgutils.if_unlikely(builder, status.is_error):
                convention.return_status_propagate(builder, status)
            return context.get_dummy_value() if result == types.void else returned

        return signature.return_type(types.int64, types.Tuple(signature.args)), generate

    return call


@contextmanager
def _one_at_a_time(folder: Path, name: str) -> Iterator[None]:
    """Wait while another process compiles the same kernel, which then lies in the cache.

    A byte of one file stands for each kernel. Nobody waits where a file system has no locks.
    """
    with ExitStack() as held:
        with suppress(OSError):
            file = held.enter_context((folder / LOCK).open("ab"))
            fcntl.lockf(file, fcntl.LOCK_EX, 1, zlib.crc32(name.encode()))
        yield


def _say_the_wait() -> None:
    if _waited[0] > SAID_AFTER and not _waited[1]:
        _waited[1] = 1.0
        kept = "once" if _cache_of() is not None else "in each process, as no folder can keep the result"
        print(f"netmend: compiling the trainer for this machine, {kept}: a minute in all", file=sys.stderr)


@cache
def _stamp() -> str:
    """Changes with any line that may be inlined somewhere else."""
    code = hashlib.sha256(str(config.BOUNDSCHECK).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        code.update(source.read_bytes())
    return code.hexdigest()


class _Stamped:
    def get_source_stamp(self) -> str:
        return _stamp()


class _Given(_Stamped, caching.UserProvidedCacheLocator):
    pass


class _Beside(_Stamped, caching.InTreeCacheLocator):
    pass


class _OfUser(_Stamped, caching.UserWideCacheLocator):
    pass


class _Results(caching.CompileResultCacheImpl):
    """Keeps the machine code of a kernel without its module, which took most of the time of loading it.

    Other functions would be compiled from the module, but they call a kernel by its address.
    """

    _locator_classes = (_Given, _Beside, _OfUser)

    def reduce(self, cres: Any) -> tuple[Any, ...]:
        (name, kind, (code, _module)), *others = super().reduce(cres)
        empty = cres.codegen.create_library(name)._final_module.as_bitcode()
        return (name, kind, (code, empty)), *others

    def rebuild(self, target_context: Any, payload: tuple[Any, ...]) -> Any:
        own = payload[1]
        known = target_context.codegen()._engine._defined_symbols  # the module would say these
        known |= {own.llvm_func_name, own.llvm_cpython_wrapper_name}
        return super().rebuild(target_context, payload)


class _Cache(caching.FunctionCache):
    _impl_class = _Results

    def has(self, sig: Any, target_context: Any) -> bool:
        """Whether there is anything to load."""
        return self._index_key(sig, target_context.codegen()) in self._cache_file._load_index()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As numba's, without first making ready to compile, which takes a third of a second."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


@cache
def _cache_of() -> type[_Cache] | None:
    """What keeps compiled code on disk, None where no folder can be written."""
    try:
        _Cache(_say_the_wait)
    except RuntimeError:
        return None
    return _Cache
