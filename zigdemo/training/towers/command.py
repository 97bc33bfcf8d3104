"""What the command lines of the towers share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from ..trainer.rules import out_of_memory


def run_command(work: Callable[[], dict[str, Any]]) -> int:
    """Print the result of `work` as JSON and return 0; an error is one sentence on stderr and exit status 2."""
    try:
        result = work()
    except (ValueError, FloatingPointError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as fault:
        if not out_of_memory(fault):
            raise
        print("error: this does not fit into memory; give fewer of what it trains on at a time", file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 0
