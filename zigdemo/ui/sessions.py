"""What is kept of every open page: the values of its states alone, not a copy of all components as Gradio keeps it.

The large ones, which are maps that wait for the next click, are kept as long as all of them fit a bound; those not used
for longest go first, and their pages are as before the first drawing.
"""

from __future__ import annotations

import datetime
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Any

import gradio as gr
import numpy as np
import torch
from gradio.state_holder import SessionState, StateHolder
from PIL import Image

from .bounds import MEGABYTE, bounds

LARGE_BYTES = 2**18  # from which a value counts
_PLAIN = (str, bytes, int, float, bool, type(None), type)


def kept_bytes(value: Any) -> int:
    """Bytes of all arrays and pictures in a value, those met twice once."""
    return sum({id(part): nbytes for part, nbytes in _parts(value, set())}.values())


def _parts(value: Any, met: set[int]) -> Iterator[tuple[Any, int]]:
    """The arrays and pictures in a value, each with its bytes."""
    if isinstance(value, _PLAIN) or id(value) in met:
        return
    met.add(id(value))
    if isinstance(value, np.ndarray | torch.Tensor):
        yield value, value.nbytes
    elif isinstance(value, Image.Image):
        yield value, value.width * value.height * len(value.getbands())
    elif isinstance(value, torch.nn.Module):
        return  # the model's, which is kept anyway
    elif isinstance(value, dict):
        for part in list(value.values()):
            yield from _parts(part, met)
    elif isinstance(value, list | tuple | set):
        for part in list(value):
            yield from _parts(part, met)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _parts(getattr(value, one.name, None), met)
    elif hasattr(value, "__dict__"):
        yield from _parts(vars(value), met)


class Kept:
    """Which pages keep large values, and how large; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: OrderedDict[tuple[int, int], tuple[weakref.ref[Session], int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def nbytes(self) -> int:
        """Of all of them."""
        return sum(nbytes for _, nbytes in self._bytes.values())

    def used(self, session: Session, key: int) -> None:
        """A value is looked at."""
        with self._lock:
            if (id(session), key) in self._bytes:
                self._bytes.move_to_end((id(session), key))

    def set(self, session: Session, key: int, value: Any) -> None:
        """A page keeps a value; those not used for longest go if all are too large together.

        Only values that say `can_go` do: whoever reads them back can go on without.
        """
        nbytes, name = kept_bytes(value) if getattr(value, "can_go", False) else 0, (id(session), key)
        with self._lock:
            self._bytes.pop(name, None)
            if nbytes >= LARGE_BYTES:
                self._bytes[name] = weakref.ref(session), nbytes
            for old, (page, _) in list(self._bytes.items()):
                if page() is None:
                    del self._bytes[old]
            while self.nbytes > bounds().kept_mb * MEGABYTE and len(self._bytes) > 1:
                (_, place), (page, _) = self._bytes.popitem(last=False)
                if (other := page()) is not None:
                    other.state_data[place] = None


KEPT = Kept()


class Session(SessionState):
    """The states of one page. Gradio's deep links would need the values of all components; the page has its own."""

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def __getitem__(self, key: int) -> Any:
        KEPT.used(self, key)
        return super().__getitem__(key)

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self._state_ttl[key] = (block.time_to_live, datetime.datetime.now())
            self.state_data[key] = value
            KEPT.set(self, key, value)
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Nothing: no configuration is kept."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing: no configuration is kept."""


class Sessions(StateHolder):
    """The pages that are open, as many as may be; the one not used for longest goes first."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)


def keep_little(page: gr.Blocks) -> None:
    """Keep sessions of this kind on a page that was launched."""
    sessions = Sessions()
    sessions.set_blocks(page)
    page.app.state_holder = sessions
