"""Counting real models: `effkit.profile` and what it is made of, from the bottom up.

- `formulas`: what torch's operators compute; `operators`: which formulas each has, a registry; `figures`: the figures of one
  call of an operator. `attention`: attention as one operator.
- `lifetimes`: which tensors are in memory when. `result`, `view`, `placement`: a profile, in words, on a machine.
- `shadow`: a copy of the model to count on; `trace`: watches its forward pass.
- `profile`, `training`: a forward pass, a training step. `command`: ``effkit profile`` in a terminal.
"""
