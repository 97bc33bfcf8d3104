"""What is kept of every open page: the values of its states alone, not a copy of all components as Gradio keeps it."""

from __future__ import annotations

import datetime
from copy import copy
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


class Session(SessionState):
    """The states of one page. Gradio's deep links would need the values of all components; the page has its own."""

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks_config = copy(blocks.default_config)
        self.config_values: dict[int, Any] = {}
        self.state_data: dict[int, Any] = {}
        self._state_ttl: dict[int, Any] = {}
        self.is_closed = False
        self.STATE_TTL_WHEN_CLOSED = 3600

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self._state_ttl[key] = (block.time_to_live, datetime.datetime.now())
            self.state_data[key] = value
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
