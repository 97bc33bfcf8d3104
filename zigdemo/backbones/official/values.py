"""Safe values for the content of official checkpoints: names, unread tensors, records.

`BUILDERS`, `RECORDS`, `STORAGES`, `DTYPES` and `TYPES` list everything that `unpickle.py` lets a pickle name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch

from ...checks import is_whole

MOST_DEPTH, MOST_VALUES = 64, 200_000  # of plain data
MOST_DIMENSIONS = 8
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Refused(ValueError):
    """A fault of a file, as a clause about "it"."""


@dataclass(frozen=True)
class Name:
    """A global in a pickle: only its dotted name, as in Python 3 and numpy 2."""

    dotted: str


@dataclass(eq=False)
class Opaque:
    """An object of a class that means nothing here, such as a path or a date beside the weights: never made or run.

    kind: the class's dotted name. parts: what the pickle would make it of, looked into for tensors' storages alone.
    """

    kind: str
    parts: list[Any] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Storage:
    """A block of values in the file: key, dtype, number of values."""

    key: str
    dtype: torch.dtype
    elements: int


@dataclass(frozen=True)
class StoredTensor:
    """An unread tensor: a strided view within its storage and no larger than it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.shape)


@dataclass
class Record:
    """An object of a known class: the name of the class and its state in the pickle."""

    kind: str
    state: dict[Any, Any] | None = None


@dataclass
class NumpyType:
    """A numpy dtype under construction: code such as "f8", and byte order."""

    code: str
    order: str = "<"


NODES = {f"omegaconf.nodes.{kind}Node" for kind in ("Any", "Integer", "Float", "Boolean", "String", "Bytes")}
CONFIGS = {"omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"}
METADATA = {"omegaconf.base.Metadata", "omegaconf.base.ContainerMetadata"}
RECORDS = {"argparse.Namespace"} | NODES | CONFIGS | METADATA
TYPES = {"typing.Any"} | {
    f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "int", "list", "str", "tuple")
}
OLD_NAMES = {"__builtin__.long": "builtins.int", "numpy.core.multiarray.scalar": "numpy._core.multiarray.scalar"}


# What no checkpoint names but to run something; all else that is not known is opaque.
RUNS = re.compile(
    r"(os|posix|nt|subprocess|sys|runpy|importlib|ctypes|pty|shutil|socket|code|codeop|commands|webbrowser)\b.*"
    r"|builtins\.(?!(complex|range|slice|bytearray|object|type|xrange)$).*"
    r"|.*\.(load|loads|load_module|loadtxt|fromfile|memmap|run|run_path|run_module|exec|eval|system|popen|Popen|call|open)"
)


def checked_key(value: object) -> Any:
    """A value if it may be a dictionary key: hashes of nested tuples could be expensive. Raises Refused."""
    if isinstance(value, tuple):
        return Opaque("tuple")
    if value is not None and not isinstance(value, str | bytes | bool | int | float | Opaque | Name):
        raise Refused(f"a dictionary or set in it has a {type(value).__name__} as key")
    return value


def _tensor(
    storage: object, offset: object, shape: object, stride: object, requires_grad: object = False,
    hooks: object = None, metadata: object = None,
) -> StoredTensor:  # fmt: skip
    if not isinstance(storage, Storage):
        raise Refused("a tensor in it has no storage")
    sizes = (shape, stride)
    if not all(isinstance(s, tuple) and len(s) <= MOST_DIMENSIONS and all(map(is_whole, s)) for s in sizes):
        raise Refused("a tensor in it has a shape or strides that are not a few whole numbers")
    if len(shape) != len(stride) or not is_whole(offset):
        raise Refused("a tensor in it has strides or an offset that do not belong to its shape")
    tensor = StoredTensor(storage, offset, shape, stride)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if tensor.elements and last >= storage.elements:
        raise Refused(f"a tensor of shape {shape} in it reaches outside its storage of {storage.elements:,} values")
    if tensor.elements > storage.elements:
        raise Refused(
            f"a tensor of shape {shape} in it asks for {tensor.elements:,} values of a storage of {storage.elements:,}"
        )
    return tensor


def _parameter(tensor: object, requires_grad: object = True, hooks: object = None) -> object:
    return tensor


def _dict(pairs: object = ()) -> dict[Any, Any]:
    if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list | tuple) for pair in pairs):
        raise Refused("a dictionary in it is not made of pairs")
    return {checked_key(key): value for key, value in pairs}


def as_dict(items: list[Any]) -> dict[Any, Any]:
    return {checked_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _default_dict(factory: object = None) -> dict[Any, Any]:
    return {}


def as_set(values: object = ()) -> set[Any]:
    if not isinstance(values, list | tuple):
        raise Refused("a set in it is not made of values")
    return {checked_key(value) for value in values}


def _size(values: object = ()) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or not all(map(is_whole, values)):
        raise Refused("a size in it is not made of whole numbers")
    return tuple(values)


def _device(*parts: object) -> str:
    if not all(isinstance(part, str | int) for part in parts):
        raise Refused("a device in it is not written as one")
    return ":".join(map(str, parts))


def _bytes(text: object = "", encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("a byte string in it is not written as one")
    return text.encode("latin1")


def _numpy_type(code: object, align: object = False, copy: object = False) -> NumpyType | Opaque:
    if not isinstance(code, str) or not re.fullmatch("[biuf][1248]", code):
        return Opaque("numpy.dtype")
    return NumpyType(code)


def _numpy_scalar(kind: object, content: object) -> object:
    if not isinstance(kind, NumpyType) or not isinstance(content, bytes):
        raise Refused("a numpy number in it is not written as one")
    dtype = np.dtype(kind.order + kind.code)
    if len(content) != dtype.itemsize:
        raise Refused(f"a numpy number in it has {len(content)} bytes where its type has {dtype.itemsize}")
    return np.frombuffer(content, dtype)[0].item()


BUILDERS = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _default_dict,
    "builtins.set": as_set,
    "builtins.frozenset": as_set,
    "_codecs.encode": _bytes,
    "numpy.dtype": _numpy_type,
    "numpy._core.multiarray.scalar": _numpy_scalar,
}
STORAGES = {f"torch.{name}": dtype for name, dtype in DTYPES.items()}
KNOWN = {*BUILDERS, *RECORDS, *TYPES, *STORAGES, *(str(dtype) for dtype in DTYPES.values())}


def plain(value: Any) -> Any:
    """A value of `read_pickle` as plain data: dict, list, str, bytes, numbers and None.

    Namespaces and OmegaConf containers become dicts and lists, with interpolations such as "${data.size}" as text;
    names become text, and tensors a description. Raises Refused for more than MOST_VALUES values or MOST_DEPTH levels,
    which also stops recursive values.
    """
    count = 0

    def reduce(value: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if depth > MOST_DEPTH or count > MOST_VALUES:
            raise Refused(f"its settings are more than {MOST_VALUES:,} values or {MOST_DEPTH} levels deep")
        if value is None or isinstance(value, str | bytes | bool | int | float):
            return value
        if isinstance(value, dict):
            return {key: reduce(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple | set):
            return [reduce(entry, depth + 1) for entry in value]
        if isinstance(value, Name):
            return value.dotted
        if isinstance(value, Opaque | NumpyType):
            return f"an object of {value.kind if isinstance(value, Opaque) else 'numpy.dtype'}"
        if isinstance(value, StoredTensor):
            return f"tensor of shape {value.shape}"
        if isinstance(value, Record) and value.state is not None:
            field = "_content" if value.kind in CONFIGS else "_val" if value.kind in NODES else None
            return reduce(value.state if field is None else value.state.get(field), depth + 1)
        raise Refused(f"its settings hold a {type(value).__name__} that is not plain data")

    return reduce(value, 0)
