"""Ids of models that are no longer shipped, each with the model that took its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Retired:
    """A model that was shipped once; as a string, one sentence that says what to use instead.

    id: by which links, files and programs still name it. successor: id of a shipped model. why: a clause that gives the
    reason, such as "it is as good and half as large".
    """

    id: str
    successor: str
    why: str

    def __str__(self) -> str:
        return f"{self.id} is no longer shipped: {self.why}; use {self.successor} in its place"


# An entry stays for ever, as people keep their files and links. A successor that retires too gets a new successor in
# every entry that names it, so that no sentence sends anyone to a model that is gone.
_TWIN = "networks of portraits show better what a scan does"
_ENTRIES: tuple[Retired, ...] = (
    Retired("zigma-emoji-sweep", "zigma-portraits-sweep", _TWIN),
    Retired("zigma-emoji-hilbert-8", "zigma-portraits-hilbert-8", _TWIN),
    Retired("zigma-emoji-random-8", "zigma-portraits-random-8", _TWIN),
    Retired("zigma-emoji-text", "zigma-portraits", "portraits follow words that it could not"),
)
RETIRED = {entry.id: entry for entry in _ENTRIES}
