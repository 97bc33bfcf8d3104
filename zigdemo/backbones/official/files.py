"""Checkpoint files, opened without executing their content: PyTorch zip, old PyTorch format, safetensors.

The content is read as plain values with `StoredTensor` for tensors; values are read only for the requested tensors, so
that an optimiser's state costs nothing.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...files import not_the_file
from .unpickle import read_pickle
from .values import Opaque, Record, Refused, Storage, StoredTensor

MOST_PICKLE_BYTES = 2**26
ZIP_START = b"PK\x03\x04"
OLD_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of the number that marks the old format
SAFE_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@contextmanager
def _refusing_damage() -> Iterator[None]:
    """Turns the errors of damaged files into Refused."""
    try:
        yield
    except Refused:
        raise
    except (zipfile.BadZipFile, SafetensorError, EOFError, struct.error, NotImplementedError, ValueError) as fault:
        raise Refused(f"it is damaged or cut short ({str(fault)[:100]})") from None


@dataclass(frozen=True)
class OpenCheckpoint:
    """An open file: its content, and a function that reads the flat values of a storage."""

    content: Any
    read: Callable[[Storage], Tensor]

    def tensors(self, stored: dict[str, StoredTensor]) -> dict[str, Tensor]:
        """The given tensors; each storage is read once, and tensors with a common storage share memory.

        Raises Refused if together they have more than twice the values of their storages: real weights use a storage
        once, or twice if two layers share it.
        """
        storages = {tensor.storage.key: tensor.storage for tensor in stored.values()}
        requested = sum(tensor.elements for tensor in stored.values())
        available = sum(storage.elements for storage in storages.values())
        if requested > 2 * available:
            raise Refused(f"its tensors name {requested:,} values and it holds {available:,}")
        with _refusing_damage():
            flat = {key: self.read(storage) for key, storage in storages.items()}
        return {
            name: flat[tensor.storage.key].as_strided(tensor.shape, tensor.stride, tensor.offset)
            for name, tensor in stored.items()
        }


@contextmanager
def open_checkpoint(path: Path) -> Iterator[OpenCheckpoint]:
    """Open a checkpoint file of any of the three kinds, detected by its first bytes.

    Raises Refused, with a clause about "it", if the file is no checkpoint, is damaged or contains anything but data,
    and OSError if it cannot be read.
    """
    with path.open("rb") as file, ExitStack() as stack:
        start = file.read(len(OLD_START))
        file.seek(0)
        with _refusing_damage():
            if start.startswith(ZIP_START):
                opened = _open_zip(stack.enter_context(zipfile.ZipFile(file)), path.stat().st_size)
            elif start == OLD_START:
                opened = _open_old(file, path.stat().st_size)
            elif start[8:9] == b"{":
                opened = _open_safetensors(stack.enter_context(safe_open(path, "pt")))
            else:
                raise Refused(not_the_file(start) or "it is no checkpoint: neither a PyTorch file nor safetensors")
        yield opened


def _open_zip(archive: zipfile.ZipFile, file_bytes: int) -> OpenCheckpoint:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.orig_filename
        if name in entries:
            raise Refused(f"it holds {name!r:.100} twice")
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
            raise Refused(f"it holds {name!r:.100}, a path that leads out of it")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
            raise Refused(f"{name!r:.100} in it is compressed or encrypted, which PyTorch never does")
        entries[name] = entry
    stored = sum(entry.file_size for entry in entries.values())
    if stored > file_bytes:
        raise Refused(f"its parts claim {stored:,} bytes and the file has {file_bytes:,}")
    pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Refused("it is a zip file that is no checkpoint: it does not have one data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    size = entries[pickles[0]].file_size
    if size > MOST_PICKLE_BYTES:
        raise Refused(f"its data.pkl has {size:,} bytes, more than {MOST_PICKLE_BYTES:,}")
    if f"{root}byteorder" in entries and archive.read(entries[f"{root}byteorder"])[:10] != b"little":
        raise Refused("its numbers are big-endian; save it again on a common machine")

    def read(storage: Storage) -> Tensor:
        name = f"{root}data/{storage.key}"
        expected = storage.elements * storage.dtype.itemsize
        if name not in entries:
            raise Refused(f"it lacks {name!r:.100}, the numbers of a tensor")
        if entries[name].file_size != expected:
            raise Refused(f"{name!r:.100} in it has {entries[name].file_size:,} bytes and its tensor {expected:,}")
        with archive.open(entries[name]) as file:
            return _numbers(file, storage)

    return OpenCheckpoint(read_pickle(io.BytesIO(archive.read(entries[pickles[0]]))), read)


def _open_old(file: BinaryIO, file_bytes: int) -> OpenCheckpoint:
    """The format before PyTorch 1.6: pickles of a magic number, version, machine, content and storage keys, followed by
    the number of values (int64) and the values for every key."""
    front = io.BytesIO(file.read(MOST_PICKLE_BYTES))
    front.seek(len(OLD_START))
    version, machine, content, keys = (read_pickle(front) for _ in range(4))
    if version != 1001 or not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise Refused("it is of an unknown version of the old format, or big-endian; save it again with PyTorch 1.6")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise Refused("its list of storages is damaged")
    # The offset of a storage depends on the dtypes of the previous ones, which are known from the tensors.
    storages = {storage.key: storage for storage in _storages(content)}
    if not set(keys) <= storages.keys():
        raise Refused("it holds storages that belong to no tensor")
    lengths = [8 + storages[key].elements * storages[key].dtype.itemsize for key in keys]
    starts = dict(zip(keys, accumulate(lengths, initial=front.tell()), strict=False))
    if front.tell() + sum(lengths) > file_bytes:
        raise Refused(
            f"it is cut short: its parts need {front.tell() + sum(lengths):,} bytes, and it has {file_bytes:,}"
        )

    def read(storage: Storage) -> Tensor:
        if storage.key not in starts or storages[storage.key] != storage:
            raise Refused(f"it lacks storage {storage.key!r:.100}, the numbers of a tensor")
        file.seek(starts[storage.key])
        (elements,) = struct.unpack("<q", file.read(8))
        if elements != storage.elements:
            raise Refused(
                f"storage {storage.key!r:.100} in it has {elements:,} values and its tensor {storage.elements:,}"
            )
        return _numbers(file, storage)

    return OpenCheckpoint(content, read)


def _storages(content: Any) -> Iterator[Storage]:
    """Every storage in a value, once per tensor; shared containers are visited once."""
    visited, waiting = set(), [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, StoredTensor):
            yield value.storage
        elif isinstance(value, Storage):
            yield value
        elif isinstance(value, Record):
            waiting.append(value.state)
        elif isinstance(value, Opaque) and id(value) not in visited:
            visited.add(id(value))
            waiting.extend(value.parts)
        elif isinstance(value, dict | list | tuple) and id(value) not in visited:
            visited.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)


def _open_safetensors(safe: Any) -> OpenCheckpoint:
    content = {}
    for name in safe.keys():
        part = safe.get_slice(name)
        shape, dtype = tuple(part.get_shape()), SAFE_DTYPES.get(part.get_dtype())
        if dtype is None:
            raise Refused(f"{name!r:.100} in it has numbers of type {part.get_dtype()}, which no checkpoint here has")
        stride = tuple(accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1))[::-1] if shape else ()
        content[name] = StoredTensor(Storage(name, dtype, torch.Size(shape).numel()), 0, shape, stride)
    return OpenCheckpoint(content, lambda storage: safe.get_tensor(storage.key).flatten())


def _numbers(file: Any, storage: Storage) -> Tensor:
    """The next values of a file as a flat tensor. The caller has checked the size."""
    if storage.elements == 0:
        return torch.empty(0, dtype=storage.dtype)
    content = bytearray(storage.elements * storage.dtype.itemsize)
    view, offset = memoryview(content), 0
    while offset < len(content):
        count = file.readinto(view[offset:])
        if not count:
            raise EOFError("its numbers end early")
        offset += count
    return torch.frombuffer(content, dtype=storage.dtype)
