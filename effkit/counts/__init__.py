"""Closed forms for every layer of the lectures: parameters, multiply-accumulates, other operations, activations, bytes.

One module for each kind of layer; every name is used as ``effkit.counts.NAME``. The counting convention:

- A parameter is one element of a `torch.nn.Parameter`; buffers (such as the running statistics of batch normalization)
  are not parameters.
- A MAC is one multiplication whose product is added to a sum; 1 MAC = 2 FLOPs. Adding a bias is not a MAC. Taps that fall
  on padding count, causal attention is not halved, and a transposed convolution counts over its input positions.
- Activations are elements of a layer's output. Bytes moved are those of each operand read once and each output written
  once, `bits` bits an element.
- Normalization, activation functions, pooling, softmax and bias additions are `other_ops`, apart from MACs and FLOPs.
"""

from effkit.counts.attention import attention_bytes, attention_macs, attention_params, attention_scores, kv_cache_size
from effkit.counts.convolution import conv_activations, conv_bytes, conv_macs, conv_params, conv_transpose_macs
from effkit.counts.linear import embedding_params, gemm_macs, linear_activations, linear_bytes, linear_macs, linear_params
from effkit.counts.pointwise import elementwise_bytes, norm_bytes, norm_params, other_ops, pool_bytes
from effkit.counts.recurrent import recurrent_macs, recurrent_params
from effkit.counts.units import flops, model_size

__all__ = [
    "attention_bytes",
    "attention_macs",
    "attention_params",
    "attention_scores",
    "conv_activations",
    "conv_bytes",
    "conv_macs",
    "conv_params",
    "conv_transpose_macs",
    "elementwise_bytes",
    "embedding_params",
    "flops",
    "gemm_macs",
    "kv_cache_size",
    "linear_activations",
    "linear_bytes",
    "linear_macs",
    "linear_params",
    "model_size",
    "norm_bytes",
    "norm_params",
    "other_ops",
    "pool_bytes",
    "recurrent_macs",
    "recurrent_params",
]
