# %% [markdown]
# # Lab 2: How many parameters, how many bytes?
#
# About 75 minutes. Difficulty: ★★☆. You need: how a linear layer, a convolution and attention compute
# their output, and what a PyTorch module is.
#
# A parameter is one number that training adjusts: an entry of a weight or of a bias. You will write small functions that count the
# parameters of each kind of layer, from sizes alone, before any model exists.
# At the end they count AlexNet layer by layer, then any PyTorch model, and tell how many bytes it takes.
#
# How it works: write the body of a function, run its cell, run the check below it. The check tells which mistake it sees, and
# it is the check that grades: grading only draws other random sizes. Keep the first line of each function as it is. Wherever a
# prompt says *bias*, it is an argument: `True` or `False`. Before you hand in, restart the kernel, run all cells and read the
# progress table at the end. (JupyterLab's Validate button runs all checks in a fresh kernel and lists what is missing.)

# %% [markdown]
# ## 1. Linear layers
#
# A linear layer computes $y = W x + b$ with $C_\text{in}$ inputs (`in_features`) and $C_\text{out}$ outputs (`out_features`).
#
# **Task `linear_params` (2 points).** Return the number of parameters of a linear layer, with or without its bias $b$.

# %% nbgrader={"grade_id": "linear_params-solution", "solution": true}
def linear_params(in_features, out_features, bias):
    ### BEGIN SOLUTION
    return in_features * out_features + (out_features if bias else 0)
    ### END SOLUTION

# %% nbgrader={"grade_id": "linear_params", "grade": true}
from effkit.grading import check

check("linear_params", linear_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Each output is a weighted sum of *all* inputs. How many weights is that for one output?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The weight $W$ is a matrix of $C_\text{out}$ rows and $C_\text{in}$ columns; $b$ is added to $y$, so it is as long as $y$.
#
# </details>

# %% [markdown]
# ## 2. Convolutions
#
# A filter of a convolution reaches through all $C_\text{in}$ input channels and covers $k_h \times k_w$ positions; there is one filter
# for each of the $C_\text{out}$ output channels.
#
# **Task `conv_params` (3 points).** Return the number of parameters of a 1-D or 2-D convolution whose `kernel_size` is a tuple
# such as `(3,)` or `(1, 7)`.

# %% nbgrader={"grade_id": "conv_params-solution", "solution": true}
from math import prod


def conv_params(in_channels, out_channels, kernel_size, bias):
    ### BEGIN SOLUTION
    weights = out_channels * in_channels * prod(kernel_size)
    return weights + (out_channels if bias else 0)
    ### END SOLUTION

# %% nbgrader={"grade_id": "conv_params", "grade": true}
from effkit.grading import check

check("conv_params", conv_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Count one filter first: its height, its width, and the channels it reaches through.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The weight tensor has the shape $(C_\text{out}, C_\text{in}, k_h, k_w)$. `prod(kernel_size)` multiplies the sides, however many there are.
#
# </details>

# %% [markdown]
# ## 3. Grouped convolutions
#
# With $g$ groups the channels are cut into $g$ equal parts, and each filter sees only the input channels of its own part.
#
# **Task `grouped_conv_params` (3 points).** Return the number of parameters of a 2-D convolution with `groups` $= g$.

# %% nbgrader={"grade_id": "grouped_conv_params-solution", "solution": true}
def grouped_conv_params(in_channels, out_channels, kernel_size, groups, bias):
    ### BEGIN SOLUTION
    weights = out_channels * (in_channels // groups) * prod(kernel_size)
    return weights + (out_channels if bias else 0)
    ### END SOLUTION

# %% nbgrader={"grade_id": "grouped_conv_params", "grade": true}
from effkit.grading import check

check("grouped_conv_params", grouped_conv_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# There are still $C_\text{out}$ filters. What changed is how many input channels one filter sees.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The weight tensor has the shape $(C_\text{out}, C_\text{in} / g, k_h, k_w)$. Grouping does not touch the bias.
#
# </details>

# %% [markdown]
# ## 4. Depthwise separable convolutions
#
# MobileNet replaces a convolution by two: a *depthwise* $k \times k$ convolution that keeps the $C_\text{in}$ channels and has
# $g = C_\text{in}$ groups, then a *pointwise* $1 \times 1$ convolution from $C_\text{in}$ to $C_\text{out}$ channels.
#
# **Task `depthwise_separable_params` (2 points).** Return the parameters of the two layers together, for a square kernel of side
# `kernel_size`; with `bias=True` both layers have one.

# %% nbgrader={"grade_id": "depthwise_separable_params-solution", "solution": true}
def depthwise_separable_params(in_channels, out_channels, kernel_size, bias):
    ### BEGIN SOLUTION
    kernel = (kernel_size, kernel_size)
    depthwise = grouped_conv_params(in_channels, in_channels, kernel, in_channels, bias)
    pointwise = conv_params(in_channels, out_channels, (1, 1), bias)
    return depthwise + pointwise
    ### END SOLUTION

# %% nbgrader={"grade_id": "depthwise_separable_params", "grade": true}
from effkit.grading import check

check("depthwise_separable_params", depthwise_separable_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# You already have functions for both layers. What are the sizes of each?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Depthwise: $C_\text{in} \cdot k^2$ weights, one filter for each channel. Pointwise: $C_\text{in} \cdot C_\text{out}$ weights.
#
# </details>

# %% [markdown]
# ## 5. Normalization layers
#
# A normalization layer rescales each of its $C$ features by a learned scale $\gamma$ and, with a bias, shifts it by a learned $\beta$.
#
# **Task `norm_params` (2 points).** Return the number of parameters of a normalization layer over `num_features` $= C$ features.

# %% nbgrader={"grade_id": "norm_params-solution", "solution": true}
def norm_params(num_features, bias):
    ### BEGIN SOLUTION
    return 2 * num_features if bias else num_features
    ### END SOLUTION

# %% nbgrader={"grade_id": "norm_params", "grade": true}
from effkit.grading import check

check("norm_params", norm_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Parameters are learned by gradient descent. Are the running mean and variance of batch normalization?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# $\gamma$ and $\beta$ each have one entry for each feature.
#
# </details>

# %% [markdown]
# ## 6. Attention
#
# Attention projects its input of size $d$ (`embed_dim`) to queries, keys and values, and projects the joined heads back to $d$.
# There are $h$ query heads of size $d / h$ ($h$ divides $d$), and $h_\text{kv}$ key heads and value heads of that same size.
# With $h_\text{kv} = h$ this is multi-head attention; with fewer it is called grouped-query attention.
#
# **Task `attention_params` (3 points).** Return the parameters of the four projections for `num_heads` $= h$ and `num_kv_heads`
# $= h_\text{kv}$; with `bias=True` each projection has one.

# %% nbgrader={"grade_id": "attention_params-solution", "solution": true}
def attention_params(embed_dim, num_heads, num_kv_heads, bias):
    ### BEGIN SOLUTION
    kv_dim = embed_dim // num_heads * num_kv_heads
    query = output = linear_params(embed_dim, embed_dim, bias)
    key = value = linear_params(embed_dim, kv_dim, bias)
    return query + key + value + output
    ### END SOLUTION

# %% nbgrader={"grade_id": "attention_params", "grade": true}
from effkit.grading import check

check("attention_params", attention_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Each projection is a linear layer. All four take $d$ inputs; how many outputs has each?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# The query heads together have $h \cdot d / h = d$ outputs, the key heads $h_\text{kv} \cdot d / h$.
#
# </details>

# %% [markdown]
# ## 7. AlexNet, layer by layer
#
# AlexNet (2012) ran on two GPUs, which is why three of its convolutions have two groups.
#
# | layer | in | out | kernel | groups | output map |
# |---|---|---|---|---|---|
# | conv1 | 3 | 96 | 11 × 11 | 1 | 55 × 55, pooled to 27 × 27 |
# | conv2 | 96 | 256 | 5 × 5 | 2 | 27 × 27, pooled to 13 × 13 |
# | conv3 | 256 | 384 | 3 × 3 | 1 | 13 × 13 |
# | conv4 | 384 | 384 | 3 × 3 | 2 | 13 × 13 |
# | conv5 | 384 | 256 | 3 × 3 | 2 | 13 × 13, pooled to 6 × 6 |
# | fc6 | the flattened map | 4096 | | | |
# | fc7 | 4096 | 4096 | | | |
# | fc8 | 4096 | `num_classes` | | | |
#
# Nets come in several widths: at `width` $= w$, every channel count in the table but the image's 3 is multiplied by $w$, and so are
# the 4096 features; the number of classes is not. Width 1 is the original. With `bias=True` all eight layers have a bias.
#
# Predict first: which single layer holds the most parameters, and what share of all of them? Decide before you run anything.
#
# **Task `alexnet_table` (4 points).** Return a dict from layer name (`"conv1"` to `"fc8"`) to its number of parameters.

# %% nbgrader={"grade_id": "alexnet_table-solution", "solution": true}
def alexnet_table(num_classes, width, bias):
    ### BEGIN SOLUTION
    w = width
    return {
        "conv1": grouped_conv_params(3, 96 * w, (11, 11), 1, bias),
        "conv2": grouped_conv_params(96 * w, 256 * w, (5, 5), 2, bias),
        "conv3": grouped_conv_params(256 * w, 384 * w, (3, 3), 1, bias),
        "conv4": grouped_conv_params(384 * w, 384 * w, (3, 3), 2, bias),
        "conv5": grouped_conv_params(384 * w, 256 * w, (3, 3), 2, bias),
        "fc6": linear_params(256 * w * 6 * 6, 4096 * w, bias),
        "fc7": linear_params(4096 * w, 4096 * w, bias),
        "fc8": linear_params(4096 * w, num_classes, bias),
    }
    ### END SOLUTION

# %% nbgrader={"grade_id": "alexnet_table", "grade": true}
from effkit.grading import check

check("alexnet_table", alexnet_table)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Every entry is one call of a function that you have already written.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# fc6 sees the whole pooled map of conv5, flattened: channels x height x width.
#
# </details>

# %% tags=["raises-exception"]
table = alexnet_table(num_classes=1000, width=1, bias=False)
total = sum(table.values())
for layer, params in table.items():
    print(f"{layer:<5}  {params:>12,}  {params / total:6.1%}")
print(f"total  {total:>12,}")

# %% [markdown]
# Was your guess right? The convolutions do most of the computing, and the fully connected layers hold nearly all the parameters.
# AlexNet without biases should come out at 60,954,656 parameters.

# %% [markdown]
# ## 8. Any model
#
# PyTorch knows every parameter of a module. Two layers may *share* one tensor (a language model often ties its output layer to its embedding),
# and a shared tensor is stored once. A *frozen* parameter is one that training leaves as it is; a *buffer* is a tensor that is saved
# with the model but never trained, such as the running mean of batch normalization.
#
# **Task `count_params` (4 points).** Return the number of parameters of any `torch.nn.Module`, frozen ones too, buffers not, and each tensor once.

# %% nbgrader={"grade_id": "count_params-solution", "solution": true}
def count_params(model):
    ### BEGIN SOLUTION
    return sum(parameter.numel() for parameter in model.parameters())
    ### END SOLUTION

# %% nbgrader={"grade_id": "count_params", "grade": true}
from effkit.grading import check

check("count_params", count_params)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A module can list the parameters of all its submodules, each tensor once. A tensor knows its number of elements: `numel()`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `model.state_dict()` is a different thing: it also holds buffers, and a shared tensor under each of its names.
#
# </details>

# %% tags=["raises-exception"]
import torch
from effkit import zoo

with torch.device("meta"):  # shapes only: takes no memory
    alexnet = zoo.alexnet(bias=False)
print(f"{count_params(alexnet):,} by PyTorch, {total:,} by your table")

# %% [markdown]
# ## 9. Model size
#
# A model of $N$ parameters stored at $b$ bits each takes $N b / 8$ bytes.
#
# **Task `model_size_bytes` (2 points).** Return that size in bytes, as an int, for `bits` of 32, 16, 8 or 4.

# %% nbgrader={"grade_id": "model_size_bytes-solution", "solution": true}
def model_size_bytes(params, bits):
    ### BEGIN SOLUTION
    return params * bits // 8
    ### END SOLUTION

# %% nbgrader={"grade_id": "model_size_bytes", "grade": true}
from effkit.grading import check

check("model_size_bytes", model_size_bytes)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# How many 4-bit parameters fit into one byte?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Multiply first, then divide by 8 with `//`: the sizes here are all whole bytes.
#
# </details>

# %% [markdown]
# Tools disagree by about 5 % on the same file, because some print MB ($10^6$ bytes) and others MiB ($2^{20}$ bytes).
#
# **Task `model_size_mib` (2 points).** Return the size in MiB, unrounded, as a float.

# %% nbgrader={"grade_id": "model_size_mib-solution", "solution": true}
def model_size_mib(params, bits):
    ### BEGIN SOLUTION
    return params * bits / 8 / 2**20
    ### END SOLUTION

# %% nbgrader={"grade_id": "model_size_mib", "grade": true}
from effkit.grading import check

check("model_size_mib", model_size_mib)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Two steps: bits to bytes, then bytes to MiB.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# $2^{20} = 1{,}048{,}576$; divide with `/`, so that nothing is rounded.
#
# </details>

# %% [markdown]
# Quantized models often keep some layers at a higher precision.
#
# **Task `mixed_precision_bytes` (3 points).** Return the size in bytes, as an int, of a model given as `layers`, a sequence of
# `(params, bits)` pairs.

# %% nbgrader={"grade_id": "mixed_precision_bytes-solution", "solution": true}
def mixed_precision_bytes(layers):
    ### BEGIN SOLUTION
    return sum(params * bits for params, bits in layers) // 8
    ### END SOLUTION

# %% nbgrader={"grade_id": "mixed_precision_bytes", "grade": true}
from effkit.grading import check

check("mixed_precision_bytes", mixed_precision_bytes)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `for params, bits in layers:` gives one layer at a time.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Add up the bits of all layers, and divide by 8 at the end.
#
# </details>

# %% tags=["raises-exception"]
for bits in (32, 16, 8, 4):
    mb = model_size_bytes(total, bits) / 10**6
    print(f"AlexNet at {bits:>2} bits: {mb:6.1f} MB = {model_size_mib(total, bits):6.1f} MiB")

# %% [markdown]
# ## 10. Wide and shallow, or narrow and deep?
#
# Two networks have the same number of parameters: one has few wide layers, the other many narrow ones.
#
# **Question (2 points, read by a person).** Which one runs faster on a GPU, and why? Which one would you expect to be more accurate? Does the
# same number of parameters mean the same number of operations? Five sentences are enough.

# %% [markdown] nbgrader={"grade_id": "wide_or_deep", "grade": true, "points": 2, "solution": true}
# ### BEGIN SOLUTION
# The wide, shallow one usually runs faster: the layers of a network run one after another, while the work inside a layer runs in
# parallel. Few wide layers mean few kernel launches and large matrix products that fill the GPU; many narrow layers mean many small
# ones that leave it idle. The deep, narrow one is often more accurate for the same number of parameters, since each layer builds on the
# features of the one before, so the choice is a trade-off. Equal parameters do not mean equal operations: a convolution uses each
# weight once for every output position, so the size of the feature maps matters too, and so do the activations.
# ### END SOLUTION

# %% [markdown]
# ## Your progress
#
# The question in section 10 adds 2 points, which a person gives: 32 in all.

# %%
from effkit.grading import progress

progress("lab2_parameters")
