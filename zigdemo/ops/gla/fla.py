"""flash-linear-attention's chunk kernel, with our argument order."""

from __future__ import annotations

from torch import Tensor


def gated_linear_attention(
    q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor, initial_state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`fla.ops.gla.chunk_gla`: the same shapes, scale dim_k^(-1/2) when none is given, states in float32."""
    from fla.ops.gla import chunk_gla

    state = None if initial_state is None else initial_state.float()
    return chunk_gla(q, k, v, log_gate, initial_state=state, output_final_state=True)
