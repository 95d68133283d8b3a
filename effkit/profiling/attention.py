"""Attention as one operator, where torch would take it apart before it could be counted."""

import torch
from torch import Tensor

_SPELLED = torch.nn.functional.scaled_dot_product_attention


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Run `scaled_dot_product_attention` as the one kernel it is on CPUs and GPUs, where its operands allow that.

    The meta device has no such kernel: left alone, it would write the scores to memory and copy the result.
    """
    alike = query.dim() == 4 and query.shape[0] == key.shape[0] and query.shape[-1] == value.shape[-1]
    # A bias that is learned takes attention apart: the kernel has no gradient for it.
    learned = attn_mask is not None and attn_mask.requires_grad
    if learned or not (query.is_meta and alike):  # with real numbers torch itself takes the kernel that is best
        return _SPELLED(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    mask = attn_mask if attn_mask is None or attn_mask.is_floating_point() else attn_mask.to(query.dtype)
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    output: Tensor = kernel(query, key, value, dropout_p, is_causal, attn_mask=mask, scale=scale)[0]
    return output
