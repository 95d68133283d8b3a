"""Closed forms of recurrent layers: LSTM, GRU and the plain RNN.

Each layer has G gates (LSTM 4, GRU 3, RNN 1), each a linear map of the input and one of the hidden state.
Source of the shapes: the "Variables" sections of torch.nn.LSTM, torch.nn.GRU and torch.nn.RNN.
"""

from effkit.arguments import positive
from effkit.formula import formula

_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@formula("params", "parameters", input_size="C_in", hidden_size="H", num_layers="L")
def recurrent_params(
    cell: str, input_size: int, hidden_size: int, *, num_layers: int = 1, bidirectional: bool = False, bias: bool = True
) -> int:
    """Return the number of parameters of a recurrent layer: G (C_in H + H H + 2 H), 2 H for torch's two biases.

    `cell` is "lstm" (G = 4), "gru" (G = 3) or "rnn" (G = 1). Layers after the first take the hidden state of the layer
    below, of both directions if `bidirectional`; each direction has parameters of its own. No LSTM projection (`proj_size`).

    Raises ValueError unless `cell` is one of the three and all sizes are integers of at least 1.

    >>> recurrent_params("lstm", 10, 20)
    2560
    """
    weights = _weights(cell, input_size, hidden_size, num_layers, bidirectional)
    if not bias:
        return weights
    biases_of_a_layer = 2 * _copies(cell, bidirectional) * positive("hidden_size", hidden_size)
    return weights + positive("num_layers", num_layers) * biases_of_a_layer


@formula("MACs", "MACs", input_size="C_in", hidden_size="H", seq_len="N", num_layers="L", batch="B")
def recurrent_macs(
    cell: str,
    input_size: int,
    hidden_size: int,
    seq_len: int,
    *,
    num_layers: int = 1,
    bidirectional: bool = False,
    batch: int = 1,
) -> int:
    """Return the MACs of a recurrent layer on sequences of N tokens: B N G (C_in H + H H), every weight once a token.

    `cell`, layers and directions are those of `recurrent_params`; a single step (LSTMCell) has seq_len=1. The element-wise
    products of the gates and the biases are not MACs.

    Raises ValueError unless `cell` is one of the three and all sizes are integers of at least 1.

    >>> recurrent_macs("gru", 10, 20, 5)
    9000
    """
    weights = _weights(cell, input_size, hidden_size, num_layers, bidirectional)
    return positive("batch", batch) * positive("seq_len", seq_len) * weights


def _weights(cell: str, input_size: int, hidden_size: int, num_layers: int, bidirectional: bool) -> int:
    """Return the number of weights of all layers and directions."""
    c_in, hidden = positive("input_size", input_size), positive("hidden_size", hidden_size)
    layers = positive("num_layers", num_layers)
    weights = c_in * hidden + hidden * hidden
    if layers > 1:
        below = 2 * hidden if bidirectional else hidden
        weights = weights + (layers - 1) * (below * hidden + hidden * hidden)
    return _copies(cell, bidirectional) * weights


def _copies(cell: str, bidirectional: bool) -> int:
    """Return how many maps of the same size a layer has: its gates, in each direction."""
    if not isinstance(cell, str) or cell not in _GATES:
        raise ValueError(f"cell must be one of {', '.join(map(repr, _GATES))}, not {cell!r}")
    return 2 * _GATES[cell] if bidirectional else _GATES[cell]
