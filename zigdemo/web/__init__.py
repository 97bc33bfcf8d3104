"""Models for browsers: their parts as ONNX graphs, in a folder that draws without a server."""

from __future__ import annotations

from .folder import check, export
from .server import server, serving

__all__ = ["check", "export", "server", "serving"]
