# %% [markdown]
# # The roofline: what limits a layer, arithmetic or memory?
#
# About 90 minutes. You need: matrix products, and how a linear layer, a convolution and attention compute their output.
# You need no GPU and no knowledge of hardware.
#
# A chip with twice the arithmetic often runs a network no faster at all. This lecture tells when, and why. At the end you
# can
#
# - count the *arithmetic intensity* of every common kind of layer,
# - tell from two numbers of a data sheet what limits a layer, arithmetic or memory, and how long it takes at least,
# - find the batch at which a linear layer changes sides, or show that no batch does,
# - place a whole network on any machine, layer by layer, and measure the limits of your own.
#
# **How to read.** Each question comes before its answer. Write your guess down, then open the answer or run the next
# cell: a wrong guess that you wrote down teaches more than a right answer that you read. Some statements stand as
# quotations under *Find the mistake*. Teaching material really says them, and each is wrong somewhere.

# %% [markdown]
# ## 1. One machine, two operations
#
# Why it matters: a program that waits for its data gains nothing from faster arithmetic. First see that this happens at
# all.
#
# Take two operations that every network is full of: the sum of two long vectors, and the product of two square matrices.
# The same processor does both, with the same library, on a single core. We count *FLOPs*, floating-point operations: one
# addition or one multiplication is one FLOP. Speed is in FLOPs per second (FLOP/s); 1 GFLOP/s is $10^9$ FLOP/s.
#
# **Predict.** Which of the two does more FLOPs per second, and how many times as many: about as many, twice, ten times, a
# hundred times? Write it down, then run the next two cells.

# %%
from functools import partial

import effkit
import torch
from effkit import counts, hardware, measure, plot, zoo

torch.set_num_threads(1)  # one core: several would wait for whichever of them another program holds up

# %% tags=["live"]
x, y, total = torch.randn(2**24), torch.randn(2**24), torch.empty(2**24)  # each (16_777_216,)
a, b, product = torch.randn(3, 1024, 1024)  # each (1024, 1024)
added = measure(partial(torch.add, x, y, out=total), max_time_s=0.5)
multiplied = measure(partial(torch.mm, a, b, out=product), max_time_s=0.5)

speed = {"addition": 2**24 / added.median_s, "product": 2 * 1024**3 / multiplied.median_s}  # FLOP/s
for name, timing in [("addition", added), ("product", multiplied)]:
    spread = f"{timing.n} samples, their middle half spans {timing.iqr_s / timing.median_s:.1%} of it"
    print(f"{name}: {speed[name] / 1e9:.2f} GFLOP/s by the median time ({spread})")
times = speed["product"] / speed["addition"]
print(f"On this machine the product does {times:.1f} times as many FLOPs per second.")

# %% [markdown]
# This cell and those of section 9 measure the machine that runs them, so a stored copy of this notebook does not show
# what they print.
#
# On nearly every computer the product is far ahead. The addition is one call of a tuned library, so nobody wrote it
# badly. Something else must hold it back.
#
# ## 2. Bandwidth and peak
#
# Why it matters: two numbers of a data sheet are all that the rest of this lecture needs to know of a machine.
#
# A chip has arithmetic units. Next to it is the memory that holds your tensors: DRAM. (The HBM of a GPU is DRAM too, only
# closer.) Whatever the units work on has to cross the connection between the two.
#
# - **Bandwidth** $\beta$: the most bytes per second that can cross it. 1 GB/s is $10^9$ bytes per second.
# - **Peak** $\pi$: the most FLOPs per second that the units can do, if they never wait.
#
# How many bytes a number takes depends on its format: 4 at fp32 (also at tf32, a coarser way to multiply fp32 numbers), 2
# at fp16, 1 at int8.
#
# On the chip there are also small, fast memories: registers, and one or more levels of *cache*. What was used a moment
# ago may still be there and need not cross again. Remember that; section 4 comes back to it.
#
# The first machine of this lecture is an NVIDIA A100. It multiplies fp16 numbers at $\pi = 312$ TFLOP/s on its *tensor
# cores*, units made for matrix products. The figure is for *dense* matrices. (Data sheets also print twice as much, for
# weights of which half are zeros in a fixed pattern.) Its memory delivers $\beta = 2039$ GB/s.
#
# **Predict.** While one fp16 number arrives from memory, how many FLOPs could the tensor cores have done: nearest to 1,
# 10, 100 or 1000?
#
# <details><summary>Answer</summary>
#
# The number takes $2 / \beta$ seconds to arrive, in which the units could do $2 \pi / \beta$ FLOPs: about **306**.
# Numbers arrive slowly. If each of them is used only once, the tensor cores are idle nearly all the time.
#
# </details>

# %%
device = hardware["a100-80gb-sxm"]
print(device)
for name, figure in [("bandwidth", device.bandwidth), ("fp16 peak", device.peaks["fp16"])]:
    print(f"{name}: {figure.value:.4g} {figure.unit}, confidence {figure.confidence},")
    print(f"    from {figure.source}")

a100 = device.roofline("fp16")  # its peak and its bandwidth for this number format
arrives_in_s = 2 / a100.bandwidth_bytes_per_s
print(f"{arrives_in_s * a100.peak_flops_per_s:.0f} FLOPs in the time in which one fp16 number arrives")
assert round(arrives_in_s * a100.peak_flops_per_s) == 306

# %% [markdown]
# ## 3. Arithmetic intensity
#
# Why it matters: it is the one property of a layer that decides which of the two limits the layer meets.
#
# The **arithmetic intensity** of a piece of work is the number of FLOPs that it does for each byte that it moves from or
# to memory:
#
# $$I = \frac{\text{FLOPs}}{\text{bytes moved}} \qquad \text{in FLOPs/byte.}$$
#
# All counts follow one convention. A multiply-accumulate (MAC) is 2 FLOPs. Bytes moved: each operand is read once, and
# each result is written once. A layer without MACs, such as ReLU, counts its other operations instead.
#
# Take the two operations of section 1, at fp32. The addition reads two numbers and writes one, for one FLOP. The product
# of two $n \times n$ matrices has $n^2$ outputs with $n$ MACs each, $2n^3$ FLOPs, and moves only three matrices.
#
# **Predict.** How many FLOPs for each byte is that, for the addition and for the product with $n = 1024$?

# %%
n = 1024
work = {  # FLOPs and bytes, at 4 bytes for a number
    "addition": (2**24, counts.elementwise_bytes(2**24, inputs=2, bits=32)),
    "product": (counts.flops(counts.gemm_macs(n, n, n)), 3 * n * n * 4),
}
for name, (flops, moved) in work.items():
    print(f"{name:<8}  {flops:>13,} FLOPs  {moved:>11,} bytes  {flops / moved:8.3f} FLOPs/byte")
assert work["addition"][0] / work["addition"][1] == 1 / 12
assert round(work["product"][0] / work["product"][1], 1) == 170.7
effkit.explain(effkit.arithmetic_intensity, *work["product"])

# %% [markdown]
# The addition does one FLOP for 12 bytes. The product uses each number that it fetches in 1024 MACs, so a byte pays for
# 170.7 FLOPs. When memory cannot deliver as fast as the units compute, the addition waits long before the product does.
#
# **Find the mistake.** A diagram labels its horizontal axis so:
#
# > Arithmetic Intensity (FLOPS/Byte)
#
# What is wrong with the unit?
#
# <details><summary>Answer</summary>
#
# *FLOPS* with a capital S is a rate, operations *per second*: the unit of a vertical axis. Intensity is a count divided
# by a count. There are no seconds in it, and it is the same on every machine. The unit is FLOPs/byte. To keep out of the
# trap, this course writes FLOPs for the count and FLOP/s for the rate.
#
# </details>
#
# ## 4. The roofline
#
# Why it matters: it turns intensity into a speed that no program can exceed, and so tells whether there is anything left
# to gain.
#
# ### The bound and its proof
#
# Let a piece of work do $F$ FLOPs and move $D$ bytes in $T$ seconds. Its performance is $P = F / T$ and its intensity is
# $I = F / D$. Then
#
# $$P \le \min(\pi,\; I \beta).$$
#
# *Proof.* The units do at most $\pi$ FLOPs per second, so $T \ge F / \pi$. The connection carries at most $\beta$ bytes
# per second, so $T \ge D / \beta$. Both hold, hence
#
# $$T \ge \max\left(\frac{F}{\pi}, \frac{D}{\beta}\right) \qquad\text{and}\qquad
# P = \frac{F}{T} \le \min\left(\pi, \frac{F}{D} \beta\right) = \min(\pi, I \beta). \qquad \blacksquare$$
#
# **Find the mistake.** A text proves it so:
#
# > 1. Performance cannot exceed peak compute: $P \leq \pi$
# > 2. Performance limited by data delivery rate: $P \leq I \times \beta$
# > 3. Therefore: $P = \min(\pi, I \times \beta)$
#
# Steps 1 and 2 are right. What is wrong with step 3?
#
# <details><summary>Hint</summary>
#
# A program that first sleeps for a minute satisfies steps 1 and 2. Does it satisfy step 3?
#
# </details>
#
# <details><summary>Answer</summary>
#
# Two upper bounds give an upper bound, $P \le \min(\pi, I \beta)$, not an equality. Real programs stay below it, some of
# them far below.
#
# </details>
#
# ### Only a bound
#
# Work reaches the roofline only if all of this holds:
#
# 1. **Perfect overlap.** While the units compute on some data, the next data are already on their way. Without any
#    overlap the time is the *sum* $F / \pi + D / \beta$ instead of the maximum.
# 2. **Each operand crosses once.** A *kernel*, one function that runs on the device, often fetches an operand again,
#    because the caches are smaller than the operands. Then it moves more bytes than we counted.
# 3. **Full speed throughout.** Real products stay below the peak, real copies below the bandwidth, and a kernel takes
#    time to start. In a tiny layer the start takes longest.
#
# And one thing works the other way: $D$ means bytes that really cross to DRAM. What is still in a cache need not cross. A
# layer whose input is there can be faster than the roofline drawn from our count. That does not break the bound; our $D$
# was too high.
#
# **Predict.** At the very worst, how many times the maximum can the sum be? At which intensity does that happen?
#
# <details><summary>Answer</summary>
#
# For $s, t \ge 0$ the sum $s + t$ is at most $2 \max(s, t)$, and equal to it only for $s = t$. So without overlap the
# time is at most twice as long, and it is exactly that where $F / \pi = D / \beta$, so at $I = \pi / \beta$. Far from
# there it hardly matters.
#
# </details>
#
# And how near to the two ceilings do real programs come? The next cell also has three published measurements: the fastest
# matrix product that somebody found on two GPUs, and the sum of two vectors of $2^{30}$ fp32 numbers on one of them.

# %%
gigabyte = 1e9
for part_of_ridge in (0.01, 0.1, 0.5, 1, 2, 10, 100):
    flops = part_of_ridge * a100.ridge_point * gigabyte
    overlapped, one_by_one = a100.time(flops, gigabyte), a100.time(flops, gigabyte, overlap=False)
    print(f"I = {flops / gigabyte:9.2f} FLOPs/byte:  sum / maximum = {one_by_one / overlapped:.2f}")
    assert 1 < one_by_one / overlapped <= 2 and (one_by_one == 2 * overlapped) == (part_of_ridge == 1)

print(f"\nproduct on an A100: 271 of 312 TFLOP/s, {271 / 312:.0%} of the peak")
print(f"product on an H100: 794 of 989 TFLOP/s, {794 / 989:.0%} of the peak")
vectors = effkit.bandwidth_utilisation(3 * 4 * 2**30, time_s=4.1e-3, bandwidth_bytes_per_s=3350e9)
print(f"sum of two vectors on an H100: {vectors:.0%} of the bandwidth")
assert [round(part, 2) for part in (271 / 312, 794 / 989, vectors)] == [0.87, 0.80, 0.94]

# %% [markdown]
# ### The diagram
#
# Draw $\min(\pi, I \beta)$ over the intensity, and the line looks like a roof. Both axes are logarithmic, because both
# quantities span many powers of ten.
#
# ### The ridge point: compute-bound and memory-bound
#
# The two parts meet where $I \beta = \pi$. That intensity is the **ridge point**
#
# $$I_\text{ridge} = \frac{\pi}{\beta} \qquad \text{in FLOPs/byte.}$$
#
# - Work with $I < I_\text{ridge}$ is **memory-bound**: its least time is $D / \beta$. Only fewer bytes or more bandwidth
#   shorten it.
# - Work with $I > I_\text{ridge}$ is **compute-bound**: its least time is $F / \pi$. Only fewer FLOPs or a higher peak
#   shorten it.
# - At $I = I_\text{ridge}$ the two are equal; `effkit` calls that compute-bound.
#
# "Memory-bound" is about traffic and not about space. Whether a model *fits* into memory is another question.
#
# The picture has the two operations of section 1, now with fp16 numbers. They were not measured: each lies at the highest
# speed that the roof allows it.

# %%
moved = counts.elementwise_bytes(2**24, inputs=2, bits=16)
pair = [
    plot.Point("addition", "elementwise", effkit.arithmetic_intensity(2**24, moved)),
    plot.Point("product", "matmul", effkit.arithmetic_intensity(2 * n**3, 3 * n * n * 2)),
]
figure = plot.roofline([("a100-80gb-sxm", "fp16")], pair, title="Two operations on an A100")
effkit.show(figure, alt=f"Two operations on an A100. {plot.describe(figure)}")
for point in pair:
    intensity = point.arithmetic_intensity
    most = f"at most {a100.attainable(intensity) / 1e12:6.2f} TFLOP/s"
    print(f"{point.name:<8}  {intensity:7.3f} FLOPs/byte, {a100.bound(intensity)}: {most}")
print(f"ridge point: {a100.ridge_point:.1f} FLOPs/byte")
assert [a100.bound(point.arithmetic_intensity) for point in pair] == ["memory-bound", "compute-bound"]

# %% [markdown]
# **Read it.** The flat part is the *compute ceiling*, $P = \pi$. The slope is the *bandwidth ceiling*, $P = I \beta$. On
# logarithmic axes it is a straight line of slope 1, because $\log P = \log I + \log \beta$: ten times the intensity
# allows ten times the speed. More bandwidth lifts the slope, more arithmetic lifts the flat part. The addition is on the
# slope, at about a thousandth of the peak.
#
# **Find the mistake.** A text draws the roofline so:
#
# ```
#          /----------------- Compute ceiling
#         /
#        /
#       /
# -----/  <-- Memory bandwidth ceiling
#     |
# Arithmetic Intensity (FLOPS/Byte)
# ```
#
# What is wrong with its left end?
#
# <details><summary>Answer</summary>
#
# There is no flat part on the left. The bandwidth ceiling *is* the slope: with ever less intensity the bound falls
# without end. Work that does no FLOPs at all, such as a copy, has a speed of 0 FLOP/s however fast it copies.
#
# </details>
#
# ### A faster chip, and which A100?
#
# **Predict.** The next chip has twice the peak and the same memory. How many times as fast can the addition get? The
# product? And a layer of 200 FLOPs/byte, which is compute-bound today?
#
# <details><summary>Answer</summary>
#
# The addition gains nothing: there is no $\pi$ in its bound. The product doubles. The layer gains a factor of **1.31**
# only: the ridge point doubles too and passes it, and the layer becomes memory-bound. A chip that gains arithmetic and no
# bandwidth makes more layers memory-bound.
#
# </details>
#
# **Find the mistake.** A text computes:
#
# > For NVIDIA A100: $I_{\text{ridge}} = \frac{312 \text{ TFLOPS}}{2 \text{ TB/s}} = 156 \text{ FLOPs/byte}$
#
# There are three A100s: 80 GB SXM with 2039 GB/s, 80 GB PCIe with 1935 GB/s, and 40 GB with 1555 GB/s. Which of them has
# a ridge point of 156?
#
# <details><summary>Answer</summary>
#
# None. It is 153.0 on the first card, **161.2** on the second and **200.6** on the third. The bandwidth was rounded to 2
# TB/s and the card was not named. Nor was the number format, and 312 TFLOP/s holds for some of them only: a ridge point
# belongs to a card *and* a format.
#
# </details>

# %%
newer = effkit.Roofline(2 * a100.peak_flops_per_s, a100.bandwidth_bytes_per_s)
gains = {}
for name, intensity in [("addition", 1 / 6), ("product", 341.3), ("the layer", 200)]:
    gains[name] = round(newer.attainable(intensity) / a100.attainable(intensity), 2)
    print(f"{name:<9}  {gains[name]:.2f} times as fast, {newer.bound(intensity)} on the newer chip")
assert gains == {"addition": 1.0, "product": 2.0, "the layer": 1.31}

# %%
cards = {"80 GB SXM": 2039e9, "80 GB PCIe": 1935e9, "40 GB": 1555e9}  # bytes per second
ridges = {card: round(312e12 / bandwidth, 1) for card, bandwidth in cards.items()}
print("fp16:", ridges, "and with 2 TB/s:", 312e12 / 2e12)
assert ridges == {"80 GB SXM": 153.0, "80 GB PCIe": 161.2, "40 GB": 200.6}

formats = ("fp32", "tf32", "fp16", "int8")
by_format = {name: round(device.roofline(name).ridge_point, 1) for name in formats}
print("80 GB SXM:", by_format)
assert by_format == {"fp32": 9.6, "tf32": 76.5, "fp16": 153.0, "int8": 306.0}

# %% [markdown]
# ## 5. The linear layer
#
# Why it matters: most of the arithmetic of a transformer is in linear layers, and the batch decides on which side of the
# ridge they are.
#
# ### One input vector
#
# A linear layer computes $y = W x$ with $n$ inputs and $m$ outputs; $W$ has $m$ rows and $n$ columns. Each output is a
# sum of $n$ products. That makes $mn$ MACs,
#
# $$\text{FLOPs} = 2mn.$$
#
# The weights are $mn$ numbers of $b$ bytes each: reading them moves $mnb$ bytes. If nothing else moved, the intensity
# would be
#
# $$I \approx \frac{2mn}{mnb} = \frac{2}{b},$$
#
# so 1 FLOP/byte at fp16, where $b = 2$. The sizes cancel. Input and output are $n + m$ numbers more, and the exact value
# is a little lower: $I = 2mn / ((mn + m + n)\, b)$.

# %%
def linear_intensity(inputs, outputs, batch, bits=16):
    """FLOPs/byte of a linear layer without bias."""
    flops = counts.flops(counts.linear_macs(inputs, outputs, batch=batch))
    moved = counts.linear_bytes(inputs, outputs, bias=False, batch=batch, bits=bits)
    return effkit.arithmetic_intensity(flops, moved)

print(f"4096 inputs, 4096 outputs: {linear_intensity(4096, 4096, batch=1):.4f} FLOPs/byte")
print(f"1024 inputs, 4096 outputs: {linear_intensity(1024, 4096, batch=1):.4f} FLOPs/byte")
assert round(linear_intensity(4096, 4096, batch=1), 4) == 0.9995
assert round(linear_intensity(1024, 4096, batch=1), 4) == 0.9988
effkit.explain(counts.linear_bytes, 4096, 4096, bias=False, batch=1, bits=16)

# %% [markdown]
# The A100 needs 153 FLOPs/byte to be busy. One vector at a time gives it 1, so less than one hundredth of its peak can be
# used, and a larger layer does not change that.
#
# ### A batch
#
# Put $B$ input vectors side by side. Now the layer is a matrix product: each weight is fetched once and used $B$ times.
# FLOPs, input and output grow by the factor $B$, and the weights do not:
#
# $$I = \frac{2Bmn}{b\,(Bn + mn + Bm)}.$$
#
# While $B$ is small beside $m$ and $n$, the weights dominate and $I \approx 2B / b$. At fp16 that is simply
# $I \approx B$.
#
# **Find the mistake.** The text that computed a ridge point of 156 goes on with this example:
#
# > $I = \frac{2Bmn}{(Bn + mn + Bm) \times b} \approx \frac{2Bmn}{mn \times b} = \frac{2B}{b}$
# >
# > For B=128 with FP16: I = 128 (compute-bound)
#
# The last line has two mistakes. Which? Take $m = n = 4096$ and find both before you go on.
#
# <details><summary>Hint</summary>
#
# One of them you find by reading, the other by computing.
#
# </details>
#
# <details><summary>Answer</summary>
#
# 1. 128 is less than 156. By the text's own two numbers the layer is memory-bound.
# 2. 128 is an approximation. The intensity is lower: **120.5** FLOPs/byte for $m = n = 4096$ and **102.4** for
#    $m = n = 1024$, since at this batch input and output are no longer small beside the weights.
#
# </details>

# %%
at_128 = {width: linear_intensity(width, width, batch=128) for width in (1024, 4096, 8192)}
for width, intensity in at_128.items():
    print(f"B = 128, width {width}: {intensity:.1f} FLOPs/byte")
assert [round(intensity, 1) for intensity in at_128.values()] == [102.4, 120.5, 124.1]

for gpu in ("v100-sxm2", "a100-80gb-sxm", "rtx-4090", "t4", "h100-sxm5"):
    roofline = hardware[gpu].roofline("fp16")
    bound = roofline.bound(at_128[4096])
    print(f"{hardware[gpu].name:<14} ridge {roofline.ridge_point:5.1f}, width 4096: {bound}")
    assert bound == roofline.bound(128) == "memory-bound"

# %% [markdown]
# Neither 128 nor the exact value reaches the ridge of any of these five GPUs.
#
# ### Where 2B/b fails
#
# As $B$ grows, input and output outgrow the weights. Divide above and below by $B$ and let $B \to \infty$. What is left
# is
#
# $$I_\infty = \frac{2mn}{b\,(m + n)}, \qquad \text{for a square layer at fp16: } I_\infty = \frac{n}{2}.$$
#
# The approximation $2B / b$ has no such limit. It is good while $B$ is small beside $m$ and $n$, and not beyond.
#
# **Predict.** A layer of width 1024 goes from batch 1024 to batch 16,384, sixteen times as many. By which factor does its
# intensity grow: 16, 8, 4, or less than 2?
#
# <details><summary>Answer</summary>
#
# By **1.45** only, from 341.3 to **496.5** FLOPs/byte. Its limit is 512, while $2B/b$ would promise 16,384.
#
# </details>

# %%
print("      B      2B/b   n = 256  n = 1024  n = 4096")
for batch in (1, 16, 128, 1024, 16_384):
    exact = "".join(f"{linear_intensity(width, width, batch):10.1f}" for width in (256, 1024, 4096))
    print(f"{batch:>7,}{2 * batch / 2:>10,.0f}{exact}")
print("  limit    (none)" + "".join(f"{width / 2:10.1f}" for width in (256, 1024, 4096)))
growth = linear_intensity(1024, 1024, 16_384) / linear_intensity(1024, 1024, 1024)
assert round(growth, 2) == 1.45 and round(linear_intensity(1024, 1024, 16_384), 1) == 496.5

# %% [markdown]
# ### The critical batch
#
# Which batch just reaches a ridge point $r = \pi / \beta$? Set $I = r$ and solve for $B$:
#
# $$B^* = \frac{r b\, m n}{2mn - r b\,(m + n)}, \qquad \text{for a square layer at fp16: } B^* = \frac{r n}{n - 2r}.$$
#
# $B^*$ is a real number. The first compute-bound batch is $B^*$ rounded up.
#
# <details><summary>Derivation, and when there is no such batch</summary>
#
# $I = r$ means $2Bmn = r b\,(Bn + mn + Bm)$. Collect the terms with $B$: $B\,(2mn - r b\,(m + n)) = r b\, mn$. If the
# factor of $B$ is positive, divide by it. If it is zero or negative, no $B > 0$ solves the equation, because the right
# side is positive. With $m = n$ and $b = 2$ this becomes $B^* = 2 r n^2 / (2n^2 - 4 r n) = r n / (n - 2r)$, and it needs
# $n > 2r$.
#
# </details>
#
# **Predict.** Which batch makes a layer of width 256 compute-bound on the A100 80GB SXM at fp16: about 150, 300, 1000, or
# another?
#
# <details><summary>Answer</summary>
#
# None. Its intensity stays below $n / 2 = 128$, and the ridge is at 153. On this card, every square fp16 layer of width
# 306 or less is memory-bound at any batch. "Larger batch, compute-bound" has an end.
#
# </details>
#
# **Explore.** Below the numbers is a figure with sliders (a stored copy shows one picture; run the notebook to move it).
# Move the batch across the ridge, for widths 4096, 1024 and 256, and watch the distance between the exact intensity and
# the rule $2B/b$.

# %%
for card, expected in [("a100-80gb-sxm", [219, 166, 159]), ("a100-40gb", [330, 223, 211])]:
    roofline = hardware[card].roofline("fp16")
    critical = [roofline.critical_batch(width, width, dtype_bytes=2) for width in (1024, 4096, 8192)]
    print(f"{hardware[card].name}, critical batch at width")
    print("    1024: {:.2f}, 4096: {:.2f}, 8192: {:.2f}".format(*critical))
    assert [int(batch) + 1 for batch in critical] == expected  # the first compute-bound batch
print("A100 80GB SXM, width 256:", a100.critical_batch(256, 256, dtype_bytes=2))
assert a100.critical_batch(306, 306, dtype_bytes=2) is None
assert a100.critical_batch(307, 307, dtype_bytes=2) is not None
assert int(effkit.Roofline(312e12, 2e12).critical_batch(4096, 4096, dtype_bytes=2)) + 1 == 169

# %%
def across_the_ridge(batch, width, figure=None):
    exact = plot.Point("exact", "linear", linear_intensity(width, width, batch))
    rule = plot.Point("2B/b", "rule of thumb", 2 * batch / 2)
    critical = a100.critical_batch(width, width, dtype_bytes=2)
    end = "no batch is compute-bound" if critical is None else f"critical batch {critical:.1f}"
    title = f"batch {batch}, width {width}: {exact.arithmetic_intensity:.1f} FLOPs/byte; {end}"
    options = {"title": title, "intensities": (0.1, 10_000), "figure": figure}
    figure = plot.roofline([("a100-80gb-sxm", "fp16")], [exact, rule], **options)
    return figure, f"{title}. {plot.describe(figure)}"

batches, widths = [2**k for k in range(13)], [2**k for k in range(7, 15)]
explorer = effkit.Explore(across_the_ridge, batch=batches, width=widths)
explorer.controls["batch"].value, explorer.controls["width"].value = 128, 4096
explorer

# %% [markdown]
# So the example needs a batch of 166 on the 80 GB SXM card (169 with the text's own ridge point of 156) and of 223 on the
# 40 GB card.
#
# ### The number format
#
# A smaller number format acts on both sides: fewer bytes raise the intensity, and faster units move the ridge point.
#
# **Predict.** On the A100, int8 numbers have half the bytes of fp16 and twice the peak. What does the step from fp16 to
# int8 do to the critical batch of a layer of width 4096: halve it, double it, or leave it where it was?
#
# <details><summary>Answer</summary>
#
# It leaves it where it was: twice the intensity meets twice the ridge point. The layer can still be twice as fast, on
# either side of the ridge: on the left because half the bytes move, on the right because the peak is twice as high. For
# fp32 it is another matter. Ordinary units compute it, with so low a peak that **19.3** vectors already keep them busy.
#
# </details>
#
# (Weights and activations may also have different formats; then each operand counts with a $b$ of its own.)
#
# **Explore.** Choose a format and a batch. When do fewer bytes make the layer faster, and when does a higher peak?

# %%
def number_format(dtype, batch, figure=None):
    roofline, bits = device.roofline(dtype), effkit.dtypes[dtype].bits
    flops = counts.flops(counts.linear_macs(4096, 4096, batch=batch))
    moved = counts.linear_bytes(4096, 4096, bias=False, batch=batch, bits=bits)
    critical = round(roofline.critical_batch(4096, 4096, dtype_bytes=bits / 8), 1)
    assert critical == (19.3 if dtype == "fp32" else 165.4)
    least = f"at least {roofline.time(flops, moved) * 1e6:.1f} µs"
    title = f"{dtype}, batch {batch}: {least}; critical batch {critical}"
    point = {f"{device.name} {dtype}": [plot.Point(f"batch {batch}", "linear", flops / moved)]}
    options = {"title": title, "intensities": (0.1, 10_000), "figure": figure}
    figure = plot.roofline([("a100-80gb-sxm", name) for name in formats], point, **options)
    return figure, f"{title}. {plot.describe(figure)}"

effkit.Explore(number_format, dtype=["fp16", "int8", "tf32", "fp32"], batch=batches)

# %% [markdown]
# ## 6. The other layers
#
# Why it matters: a network is a mixture. A few formulas tell which of its layers a faster chip speeds up.
#
# ### Convolution
#
# An output element of a $k \times k$ convolution is a sum of $C_\text{in} k^2$ products. With $B$ images, an input of
# $m \times m$ and an output of $n \times n$ pixels,
#
# $$I = \frac{2 B C_\text{out} n^2\, C_\text{in} k^2}
# {b\,(B C_\text{in} m^2 + C_\text{out} C_\text{in} k^2 + B C_\text{out} n^2)}.$$
#
# Each weight is used at every output position of every image, $B n^2$ times. So a *single* image already acts like a
# batch of $n^2$. For $k = 1$ and stride 1 the convolution *is* a linear layer, applied to $B n^2$ pixels.
#
# <details><summary>Derivation: how often is each number used?</summary>
#
# FLOPs: there are $B C_\text{out} n^2$ outputs with $C_\text{in} k^2$ MACs each. (Without a bias this is
# $C_\text{in} k^2$ multiplications and one addition less, $2 C_\text{in} k^2 - 1$ FLOPs; the convention counts each MAC
# as 2.) With $g$ groups an output sees $C_\text{in} / g$ channels.
#
# Reuse: each of the $C_\text{out} C_\text{in} k^2$ weights meets $B n^2$ output positions. With stride $s$, each of the
# $B C_\text{in} m^2$ inputs meets about $C_\text{out} k^2 / s^2$ weights. Each output is written once. If all reuse
# happens on the chip, each number crosses once.
#
# </details>
#
# **Find the mistake.** A table says about convolution:
#
# > Memory: $O(C_\text{in} \times C_\text{out} \times K \times K)$
#
# What does it leave out? Does that matter in the first layer of AlexNet (3 channels of $224 \times 224$ in, 96 filters of
# $11 \times 11$, maps of $55 \times 55$ out)?
#
# <details><summary>Answer</summary>
#
# It counts the weights and forgets the maps, $C_\text{in} m^2$ numbers in and $C_\text{out} n^2$ out. In this layer there
# are **34,848** weights, and the maps have **440,928** numbers. Maps dominate early layers, weights dominate late ones.
#
# </details>

# %%
def conv_intensity(c_in, c_out, k, size_in, size_out, **more):
    """FLOPs/byte of a k x k convolution at fp16; more: groups and batch."""
    moved = counts.conv_bytes(c_in, c_out, k, size_in, size_out, bias=False, bits=16, **more)
    return counts.flops(counts.conv_macs(c_in, c_out, k, size_out, **more)) / moved

weights = counts.conv_params(3, 96, 11, bias=False)
maps = counts.conv_activations(3, 224) + counts.conv_activations(96, 55)
print(f"AlexNet, first layer: {weights:,} weights, {maps:,} numbers in the maps")
for layer in [(3, 96, 11, 224, 55), (64, 64, 1, 56, 56), (64, 64, 3, 56, 56), (512, 512, 3, 7, 7)]:
    intensity = conv_intensity(*layer)
    sizes = "{:>3} to {:>3}, filter {:>2}, map {:>3} to {:>2}".format(*layer)
    print(f"{sizes}: {intensity:5.1f} FLOPs/byte, {a100.bound(intensity)}")
assert (weights, maps) == (34_848, 440_928)
assert conv_intensity(64, 64, 1, 56, 56) == linear_intensity(64, 64, batch=56 * 56)

# %% [markdown]
# The last three are layers of ResNet-50, with one image. The 3×3 one on the $56 \times 56$ map is compute-bound. The 1×1
# one has too few channels for its map and can never exceed $64 / 2$ FLOPs/byte. The one on the $7 \times 7$ map has too
# few pixels for its weights.
#
# ### Depthwise convolution
#
# Here each output channel sees one input channel: $g = C_\text{in} = C_\text{out} = C$. At stride 1 the channels cancel,
#
# $$I = \frac{2 B C n^2 k^2}{b\,(2 B C n^2 + C k^2)} < \frac{k^2}{b}.$$
#
# With 3×3 filters at fp16 it stays below 4.5 FLOPs/byte, whatever the channels, the map and the batch. Depthwise layers
# save most of the FLOPs of a convolution, and few of its bytes.
#
# ### Element-wise layers, normalization, pooling, softmax
#
# These read a number, do a handful of operations and write a number. The size of the tensor cancels, and what is left is
# a small constant. They have no MACs, so $I$ counts their other operations.
#
# **Predict.** At fp16, how many operations per byte has a ReLU? Can a larger tensor or a larger batch make it
# compute-bound?
#
# <details><summary>Answer</summary>
#
# One operation for 2 bytes read and 2 bytes written: **0.25**. No: operations and bytes grow together.
#
# </details>

# %%
c, s = 64, 56  # channels, and the side of the map
size = c * s * s
constants = {
    "residual addition": size / counts.elementwise_bytes(size, inputs=2, bits=16),
    "ReLU": counts.other_ops("relu", size) / counts.elementwise_bytes(size, bits=16),
    "softmax": counts.other_ops("softmax", size) / counts.elementwise_bytes(size, bits=16),
    "normalization": counts.other_ops("norm", size) / counts.norm_bytes(size, c, bits=16),
    "3x3 pooling": counts.other_ops("pool", size, kernel_size=3) / counts.pool_bytes(c, s, s, bits=16),
    "3x3 depthwise": conv_intensity(c, c, 3, s, s, groups=c),
}
print("\n".join(f"{name:<18} {intensity:.3f} operations/byte" for name, intensity in constants.items()))
assert [round(value, 2) for value in constants.values()] == [0.17, 0.25, 1.25, 1.75, 2.25, 4.49]
assert all(conv_intensity(c, c, 3, s, s, groups=c, batch=batch) < 4.5 for batch in (1, 16, 1024))

# %% [markdown]
# All of these are far left of the ridge of every chip that we have met. (Tensor cores cannot even run the first five. The
# ordinary units have a lower peak, 19.5 TFLOP/s on the A100, and so a ridge point of 9.6. They are left of that too.)
# Faster arithmetic does not help them. What helps is to move nothing: *fuse* the layer into the kernel before it, which
# still holds each number in a register.
#
# ### Attention, fused and unfused
#
# Attention compares $N$ queries with $N$ keys, in $h$ heads of size $d_h$, $d = h d_h$ in all. The products $Q K^\top$
# and $A V$ take $2N^2 d$ FLOPs each, together $4 N^2 d$. (A causal mask would let a kernel skip half of them; the
# convention counts all. The projections before and after are linear layers and count there.) What moves depends on the
# kernel.
#
# - **Fused**, such as FlashAttention: one kernel reads $Q$, $K$, $V$ and writes the output, $4Nd$ numbers. The scores
#   stay on the chip.
# - **Unfused**: three kernels. One writes the $h N^2$ scores, the softmax reads and writes them, the last one reads them:
#   $4 h N^2$ numbers more.
#
# $$I_\text{fused} = \frac{4N^2 d}{4Nd\, b} = \frac{N}{b}, \qquad
# I_\text{unfused} = \frac{4N^2 d}{(4Nd + 4hN^2)\, b} = \frac{N d_h}{(d_h + N)\, b}.$$
#
# <details><summary>How honest is "fused reads K and V once"?</summary>
#
# It is a lower bound. A fused kernel works on a block of queries at a time, and reads all keys and values again for the
# next block. With room for $M$ numbers on the chip, FlashAttention moves on the order of $N^2 d_h^2 / M$ numbers for each
# head. If blocks of $R$ queries share one read of $K$ and $V$ and no cache helps, the intensity stays below $2R / b$: the
# rule $2B / b$ again, with $R$ in the place of the batch. In practice blocks of the same head run side by side and find
# $K$ and $V$ in the cache.
#
# </details>
#
# **Predict.** The FLOPs of attention grow with $N^2$. With heads of size 64 at fp16, from which length $N$ on is
# *unfused* attention compute-bound on an A100?
#
# <details><summary>Answer</summary>
#
# Never. Its traffic grows with $N^2$ too: the intensity approaches $d_h / b = 32$ and stays left of the ridge at any
# length. The fused kernel is compute-bound as soon as $N / b$ passes 153, from $N = 307$ on.
#
# </details>
#
# **Explore.** Below the numbers: the least time of both kernels. Which length, head size and machine make the factor
# between the two times largest?
#
# <details><summary>Answer</summary>
#
# Small heads, and the machine with the ridge furthest to the right, the H100. The length hardly matters for the factor,
# as soon as the fused kernel is compute-bound: then both times grow with about $N^2$.
#
# </details>

# %%
def attention_intensity(seq_len, fused, head_dim=64, heads=12):
    macs = counts.attention_macs(heads * head_dim, heads, seq_len, projections=False)
    moved = counts.attention_bytes(heads * head_dim, heads, seq_len, bits=16, fused=fused)
    return effkit.arithmetic_intensity(counts.flops(macs), moved)

for seq_len in (128, 306, 307, 1024, 65_536):
    fused, unfused = attention_intensity(seq_len, True), attention_intensity(seq_len, False)
    sides = f"fused {fused:8.1f} ({a100.bound(fused)}), unfused {unfused:4.1f} ({a100.bound(unfused)})"
    print(f"N = {seq_len:>6,}: {sides}")
    assert unfused < 32 and a100.bound(fused) == ("compute-bound" if seq_len > 306 else "memory-bound")
assert round(attention_intensity(65_536, fused=False), 1) == 32.0

# %%
def two_kernels(seq_len, head_dim, gpu, figure=None):
    roofline = hardware[gpu].roofline("fp16")
    flops = counts.flops(counts.attention_macs(12 * head_dim, 12, seq_len, projections=False))
    moved = {"fused": counts.attention_bytes(12 * head_dim, 12, seq_len, bits=16)}
    moved["unfused"] = counts.attention_bytes(12 * head_dim, 12, seq_len, bits=16, fused=False)
    least = [f"{roofline.time(flops, moved[name]) * 1e6:.1f} µs {name}" for name in moved]
    points = [plot.Point(name, "attention", flops / moved[name]) for name in moved]
    title = f"N = {seq_len}, at least: {', '.join(least)}"
    options = {"title": title, "intensities": (1, 10_000), "figure": figure}
    figure = plot.roofline([(gpu, "fp16")], points, **options)
    return figure, f"{title}. {plot.describe(figure)}"

choices = {"A100 80GB": "a100-80gb-sxm", "H100": "h100-sxm5", "T4": "t4"}
effkit.Explore(two_kernels, seq_len=[2**k for k in range(10, 15)], head_dim=[64, 128, 256], gpu=choices)

# %% [markdown]
# ### All kinds side by side
#
# | kind | FLOPs | numbers moved | intensity |
# |---|---|---|---|
# | linear, batch $B$ | $2Bmn$ | $Bn + mn + Bm$ | $2B/b$ for small $B$, below $2mn / (b (m + n))$ |
# | convolution | $2 B C_\text{out} n^2 C_\text{in} k^2$ | maps and weights | high if channels *and* maps are large |
# | depthwise | $2 B C n^2 k^2$ | $2 B C n^2 + C k^2$ | below $k^2 / b$ |
# | attention, fused | $4 N^2 d$ | $4 N d$ | $N / b$ |
# | attention, unfused | $4 N^2 d$ | $4 N d + 4 h N^2$ | below $d_h / b$ |
# | element-wise, norm, pool | a few per output | input and output | a small constant |
#
# **Find the mistake.** An overview says:
#
# > | Operation | Compute | Memory |
# > |---|---|---|
# > | Matrix multiply | High | Low |
# > | Attention | $O(N^2)$ | $O(N^2)$ |
# > | Element-wise | Low | High (bandwidth limited) |
#
# One row is a fair summary. Which, and what is wrong with the other two?
#
# <details><summary>Answer</summary>
#
# *Element-wise* is fair. *Matrix multiply* is not "high, low" as such. The ratio decides, and at batch 1 it is about 1
# FLOP/byte: memory-bound on every GPU here. *Attention* computes $O(N^2 d)$ and not $O(N^2)$, and its memory is $O(N^2)$
# for each head only if the scores are written out. A fused kernel needs $O(N)$ more.
#
# </details>
#
# ## 7. Decoding with a KV cache
#
# Why it matters: a language model that answers you spends most of its time here, far to the left of the ridge.
#
# A decoder writes one token (a piece of a word) at a time. The keys and values of all tokens so far do not change, so
# they are kept: the **KV cache**. To *read* a prompt, all its tokens go through the model at once. This is called
# *prefill*, and it has the intensities of sections 5 and 6. To *write* the next token, a single vector goes through the
# model. This is called *decode*:
#
# - each linear layer multiplies its weights by **one vector**: $I \approx 2/b$,
# - attention compares **one query** with the whole cache. It reads $2Nd$ cached numbers for $4Nd$ FLOPs: $I \approx 2/b$
#   again.
#
# At fp16 both are about 1 FLOP/byte. To do better, a server decodes for many users at once, a batch of $B$ sequences.
#
# **Predict.** With 64 users, which of the two intensities rises to about 64? Why not both?
#
# <details><summary>Answer</summary>
#
# Only that of the linear layers. All users share the *weights*: one read serves 64 vectors. Nobody shares a *cache*: each
# user has said something else, so 64 queries need 64 caches. FLOPs and bytes of attention both grow by 64, and its
# intensity stays at about 1. (In grouped-query attention several query heads share one key head. Then each cached number
# serves all of them, and the intensity rises by their number.)
#
# </details>
#
# A step reads all weights once, and the cache of each user once. Those bytes, divided by the bandwidth, bound the tokens
# per second. The cell does it for the smallest GPT-2 (124,439,808 parameters) with 1024 tokens in each cache, on an A100.

# %%
weights = counts.model_size(124_439_808, bits=16)  # bytes
cache = counts.kv_cache_size(768, 12, 1024, num_layers=12, bits=16)  # bytes, of one user
print(f"weights {weights / 1e6:.0f} MB, as much as {weights / cache:.1f} caches of {cache / 1e6:.1f} MB")
print("users   linear  attention     bytes   tokens/s at most")
for users in (1, 8, 64, 512):
    linear = linear_intensity(768, 3072, users)
    macs = counts.attention_macs(768, 12, 1, kv_len=1024, batch=users, projections=False)
    moved = counts.attention_bytes(768, 12, 1, kv_len=1024, batch=users, bits=16)
    attention = counts.flops(macs) / moved
    read = weights + users * cache
    rate = users * a100.bandwidth_bytes_per_s / read
    print(f"{users:>5} {linear:8.1f} {attention:10.3f} {read / 1e6:6.0f} MB {rate:18,.0f}")
    assert round(attention, 3) == 0.999

# %% [markdown]
# The first users are nearly free, since the weights are read anyway. From the seventh on, the caches are the larger part,
# and the total rate flattens: more users only wait longer. This is why work on fast decoding shrinks the cache: fewer key
# heads, smaller number formats, shorter caches.
#
# ## 8. Whole models, layer by layer
#
# Why it matters: no model is one layer. A picture of all its layers tells which machine suits it, and what to improve
# first.
#
# `effkit.profile` counts a model without computing anything, on torch's *meta* device, where a tensor has a shape and no
# numbers. `.on(machine, dtype)` puts each layer under the roof of that machine. Our five machines are not known equally
# well:
#
# - T4, A100 and H100 run fp16 on their tensor cores, by their data sheets. (A T4 may use 70 W and cannot hold its peak
#   for long.)
# - The M2 is its GPU at fp32. Apple publishes no peak for each format; the figures are those of third parties.
# - The STM32H743 is a microcontroller, at int8. We found no published roofline of it. Both figures are derived from its
#   clock, and the bandwidth is that of its on-chip bus, an upper bound. Read its line as an order of magnitude.
#
# ### ResNet-50
#
# One image of $224 \times 224$ pixels. Each operator is a kernel of its own here, as PyTorch runs a model that is not
# compiled.

# %%
gpus = [("t4", "fp16"), ("a100-80gb-sxm", "fp16"), ("h100-sxm5", "fp16")]
machines = [*gpus, ("apple-m2", "fp32"), ("stm32h743", "int8")]
for key, dtype in machines:
    chip, ridge = hardware[key], hardware[key].roofline(dtype).ridge_point
    sure = f"peak {chip.peaks[dtype].confidence}, bandwidth {chip.bandwidth.confidence}"
    print(f"{chip.name.partition(' (')[0]:<14} {dtype}  ridge {ridge:5.1f}  confidence: {sure}")
print("STM32H743 has:", chip.on_chip)

def profile_images(network, batch):
    with torch.device("meta"):  # shapes without numbers
        images = torch.empty(batch, 3, 224, 224)  # (batch, channels, height, width)
        return effkit.profile(network().eval(), images)

# %%
def picture(profile, title):
    placements = [profile.on(*machine) for machine in machines]
    figure = plot.roofline(placements, title=title, names=())
    effkit.show(figure, alt=f"{title}. {plot.describe(figure)}")
    right = [sum(one.bound == "compute-bound" for one in placed.layers) for placed in placements]
    for placed, number in zip(placements, right, strict=True):
        name, calls = placed.machine.partition(" (")[0], len(placed.layers)
        least = f"at least {placed.time_s * 1e3:11,.3f} ms"
        print(f"{name:<14} {number:>3} of {calls} calls compute-bound, {least}")
    return right

resnet = profile_images(zoo.resnet50, 1)
assert picture(resnet, "ResNet-50, one image") == [6, 12, 3, 37, 158] and len(resnet.layers) == 174
print(f"weights at int8: {resnet.model_size(bits=8) / 1e6:.1f} MB")

# %% [markdown]
# **Read it.** Every machine shows the same row of shapes: far left the additions, activations and batch normalizations,
# then pooling and the linear layer at batch 1, then a cloud of convolutions around 100 FLOPs/byte. What differs is where
# the ridge falls. On the H100 nearly the whole cloud is left of it; only 3 of 174 calls are compute-bound. The ridge of
# the A100 is further left, and 12 are. On the M2 the ridge is left of most of the cloud, and 37 are, although its points
# moved left as well: an fp32 number has twice the bytes.
#
# On the STM32, 158 of 174 calls are compute-bound. That is no praise: its arithmetic is so slow that even its small
# bandwidth keeps up. An image would take more than four seconds, *if the model ran at all*. Without external memory it
# does not: 25.6 MB of weights do not fit into 2 MB of flash. The roofline knows nothing of space, so check space first.
#
# ### MobileNetV2
#
# MobileNetV2 is made of depthwise and 1×1 convolutions, and needs 13.6 times fewer MACs than ResNet-50.
#
# **Predict.** How many times shorter is its least time on an A100: 13.6 times, more, or fewer? And on the STM32?
#
# <details><summary>Answer</summary>
#
# On the A100 only **2.52** times. Each of its calls is memory-bound there, so its time is that of its bytes. On the
# STM32, where nearly everything is compute-bound, it is **12.6** times, near to the ratio of the MACs. Counting FLOPs
# predicts time where FLOPs are the limit.
#
# </details>

# %%
mobilenet = profile_images(zoo.mobilenet_v2, 1)
assert picture(mobilenet, "MobileNetV2, one image") == [0, 0, 0, 0, 141]
fewer = resnet.macs / mobilenet.macs, resnet.bytes_moved / mobilenet.bytes_moved
print(f"{fewer[0]:.1f} times fewer MACs, {fewer[1]:.1f} times fewer bytes")
shorter = [resnet.on(*machine).time_s / mobilenet.on(*machine).time_s for machine in machines]
print("times shorter:", ", ".join(f"{factor:.2f}" for factor in shorter))
assert round(shorter[1], 2) == 2.52 and round(shorter[4], 1) == 12.6
print(f"weights at int8: {mobilenet.model_size(bits=8) / 1e6:.1f} MB")

# %% [markdown]
# **Read it.** The depthwise convolutions lie near 4.5 FLOPs/byte at fp16, and the 1×1 convolutions left of the cloud of
# ResNet-50. Nothing reaches the ridge of the four larger machines. (Its 3.5 MB at int8 exceed the flash of this
# microcontroller too; smaller versions are made for it.)
#
# Two cautions for large GPUs, here and for ResNet-50. These layers are so short that *starting* a kernel can take longer
# than running it. And maps as small as these can stay in the cache, so that fewer bytes cross than we counted. The
# picture tells on which side of the ridge a layer is. It does not forecast microseconds.
#
# ### GPT-2 reads a prompt
#
# Prefill: 1024 tokens go through the smallest GPT-2 at once.
#
# **Predict.** On which side of the ridge of the A100 do you expect its linear layers? Its attention? Its normalizations?

# %%
with torch.device("meta"):
    prompt = torch.zeros(1, 1024, dtype=torch.long)  # (batch, tokens)
    prefill = effkit.profile(zoo.gpt2().eval(), prompt)
assert picture(prefill, "GPT-2, prefill of 1024 tokens") == [61, 61, 49, 61, 98]

kinds = [layer.kind for layer in prefill.layers]
print(f"{kinds.count('linear')} linear layers and {kinds.count('attention')} attentions")
on_h100 = [one for one in prefill.on("h100-sxm5", "fp16").layers if one.layer.kind == "linear"]
left = [one.layer for one in on_h100 if one.bound == "memory-bound"]
print(f"left of the ridge of the H100: {len(left)} of the linear layers,")
print(f"from {left[0].input_shapes[0]} to {left[0].output_shape}")

# %% [markdown]
# **Read it.** The 1024 tokens are a batch of 1024 for each linear layer, and attention is fused. On the T4, the A100 and
# the M2 all 49 linear layers and all 12 attentions are right of the ridge. On the H100, 12 linear layers stay just left
# of it, those from 768 to 768 features. As always, normalization, activation and addition are far left.
#
# ### GPT-2 writes a token
#
# Decode: we put another attention into each block. It keeps a cache of 1024 tokens, writes the new key and value into the
# last place, and compares one query with all of them. The profile then counts one step of the whole model, and a closed
# form has to agree with it.

# %%
attend = torch.nn.functional.scaled_dot_product_attention

class OneTokenAttention(torch.nn.Module):
    def __init__(self, original, batch, length):
        super().__init__()
        self.qkv, self.projection = original.qkv, original.projection
        self.cache = torch.empty(2, batch, 12, length, 64)  # (K and V, batch, heads, tokens, head size)

    def forward(self, x):
        qkv = self.qkv(x).view(len(x), 1, 3, 12, 64)  # (batch, 1 token, 3, heads, head size)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, batch, heads, 1 token, head size)
        self.cache[..., -1:, :] = qkv[1:]  # the new key and value
        attended = attend(qkv[0], *self.cache)  # (batch, heads, 1 token, head size)
        return self.projection(attended.transpose(1, 2).flatten(2))  # (batch, 1 token, 768)

# %%
def decode_step(batch):
    with torch.device("meta"):
        decoder = zoo.gpt2().eval()
        for block in decoder.blocks:
            block.attention = OneTokenAttention(block.attention, batch, length=1024)
        return effkit.profile(decoder, torch.zeros(batch, 1, dtype=torch.long))  # (batch, 1 token)

decode = decode_step(1)
attention_macs = counts.attention_macs(768, 12, 1, kv_len=1024, cached_len=1023)
block_macs = attention_macs + 2 * counts.linear_macs(768, 3072)
assert decode.macs == 12 * block_macs + counts.linear_macs(768, 50257) == 142_406_400
assert picture(decode, "GPT-2, decode of one token with a cache of 1024") == [0, 0, 0, 0, 98]
longer = prefill.on(*machines[1]).time_s / decode.on(*machines[1]).time_s
print(f"On the A100, reading 1024 tokens takes {longer:.1f} times as long as writing one.")

# %% [markdown]
# **Read it.** The same weights, the same machines: what was right of the ridge in prefill is now at about 1 FLOP/byte at
# fp16. Linear layers and attention lie on top of each other, as section 7 said. In the time of eight written tokens, the
# A100 could *read* more than a thousand. Only on the microcontroller, with its ridge at 0.5, are the linear layers
# compute-bound even now. (And 124 MB do not fit there either.)
#
# ### Are most operations memory-bound?
#
# It is often said that most deep-learning operations are memory-bound. Most of what? Count three ways: which part of the
# operator calls, of the least time, and of the FLOPs is memory-bound.
#
# **Predict.** On an A100, for ResNet-50 with one image: which of the three parts is the smallest? And is any of the three
# above one half in prefill?
#
# <details><summary>Answer</summary>
#
# ResNet-50: **93.1 %** of the calls, **91.7 %** of the time, **66.1 %** of the FLOPs. Prefill: just over half of the
# calls, but **15.7 %** of the time and none of the FLOPs. So the claim holds for the calls in all five models on this
# GPU. For time it holds for the two convolutional networks and for decode, and not for prefill. On the microcontroller it
# holds for nothing. Ask back: of what, in which model, at which batch, on which machine?
#
# </details>

# %%
def memory_bound_parts(profile, machine):
    placed = profile.on(*machine)
    waiting = [one for one in placed.layers if one.bound == "memory-bound"]
    flops = sum(one.layer.flops for one in waiting)
    return len(waiting) / len(placed.layers), placed.memory_bound_share, flops / profile.flops

models = {"ResNet-50": resnet, "ResNet-50, 64 images": profile_images(zoo.resnet50, 64)}
models |= {"MobileNetV2": mobilenet, "GPT-2 prefill": prefill, "GPT-2 decode": decode}
print("memory-bound         A100:  calls   time  FLOPs   STM32:  calls   time  FLOPs")
for name, profile in models.items():
    parts = [memory_bound_parts(profile, machines[i]) for i in (1, 4)]
    print(f"{name:<22}", *("    " + "".join(f"{part:7.1%}" for part in three) for three in parts))
assert [round(part, 3) for part in memory_bound_parts(resnet, machines[1])] == [0.931, 0.917, 0.661]

# %% [markdown]
# ## 9. The machine at hand
#
# Why it matters: a data sheet is a promise. Measure, and you know what *this* machine does. Close what else is running,
# or expect noise: the cells say how much of it they saw.
#
# ### Its ceilings
#
# One core again. Peak: the best rate of a large matrix product. Bandwidth: a copy much larger than the caches, each byte
# counted once as it is read and once as it is written. A CPU also fetches the memory that a copy overwrites, and the
# count leaves that out. So work that mostly *reads* can pass this bandwidth, by up to half of it.

# %% tags=["live"]
machine = hardware.this_machine("fp32", device="cpu", max_time_s=2)  # "cuda" or "mps" is a GPU
here = machine.roofline()
machine

# %% [markdown]
# ### Bandwidth utilisation
#
# For memory-bound work the useful question is which part of the bandwidth it gets:
#
# $$\text{utilisation} = \frac{\text{bytes moved} / T}{\beta}.$$
#
# You will read that memory-bound work should reach *more than 80 %*. This is a rule of thumb, and we know of no source
# for it. Large operations on a quiet machine tend to reach it; section 4 had one with 94 %. Small ones cannot, because
# starting them takes time in which nothing moves.
#
# **Predict.** What does your machine reach for the addition of section 1, measured against its own copy? And for 4096
# numbers? Before each run the cache is emptied, so that the numbers come from memory. (More than 100 % is possible: of
# the three numbers that the addition moves it writes one, of the two of a copy one is written, and writing costs more
# than we count.)

# %% tags=["live"]
used = {}
for length in (2**12, 2**18, 2**24):
    add = partial(torch.add, x[:length], y[:length], out=total[:length])
    timing = measure(add, cache="cold", max_time_s=0.4)
    moved = counts.elementwise_bytes(length, inputs=2, bits=32)
    used[length] = effkit.bandwidth_utilisation(moved, timing.median_s, here.bandwidth_bytes_per_s)
    noise = f"{timing.n} samples, IQR {timing.iqr_s / timing.median_s:.0%} of the median"
    print(f"{length:>10,} numbers: {used[length]:6.1%} of the measured bandwidth ({noise})")
print(f"The longest sum {'is' if used[2**24] > 0.8 else 'is not'} above 80 % here.")
if max(used.values()) > 1:
    print("Above 100 %: the copy that measured the bandwidth was slower than this addition.")

# %% [markdown]
# ### A linear layer over batch sizes
#
# Now the model meets the machine: a linear layer of width 2048, at batches on both sides of the ridge. Again the cache is
# emptied first: the weights come from memory, as in a network that is larger than the cache.
#
# **Predict.** Look at the ridge point of your machine. At fp32, $I \approx B / 2$ while the batch is small. Between which
# two of the batches 1, 4, 16, 64, 256 and 1024 should the points bend?

# %% tags=["live"]
width = 2048
weight = torch.randn(width, width)  # (2048, 2048)

def run(batch):
    rows, out = torch.randn(2, batch, width)  # each (batch, 2048)
    return measure(partial(torch.mm, rows, weight, out=out), cache="cold", max_time_s=0.4)

timings = {batch: run(batch) for batch in (1, 4, 16, 64, 256, 1024)}
rates = {batch: 2 * batch * width**2 / timings[batch].median_s for batch in timings}  # FLOP/s
intensities = {batch: linear_intensity(width, width, batch, bits=32) for batch in timings}
points = [plot.Point(f"batch {one}", "linear", intensities[one], rates[one]) for one in timings]
title = "A linear layer of width 2048, as measured"
figure = plot.roofline({"this machine": here}, points, title=title)
effkit.show(figure, alt=f"{title}. {plot.describe(figure)}")

# %% tags=["live"]
roofs = {batch: here.attainable(intensity) for batch, intensity in intensities.items()}
for batch, timing in timings.items():
    noise = f"{timing.n} samples, IQR {timing.iqr_s / timing.median_s:.0%}"
    reached = f"{rates[batch] / 1e9:6.1f} GFLOP/s, {rates[batch] / roofs[batch]:.0%} of the roof"
    print(f"batch {batch:>4}: {timing.median_s * 1e3:8.3f} ms ({noise}), {reached}")
critical = here.critical_batch(width, width, dtype_bytes=4)
side = "at any batch" if critical is None else f"below batch {critical:.1f}, compute-bound above"
print("By the model: memory-bound", side)
above = [str(batch) for batch in timings if rates[batch] > roofs[batch]]
print("Above the roof:", ", ".join(f"batch {batch}" for batch in above) or "none")
grown, allowed = rates[1024] / rates[1], roofs[1024] / roofs[1]
print(f"From batch 1 to 1024 the speed grew {grown:.1f} times; the roof grows {allowed:.1f} times.")

# %% [markdown]
# How to read what you measured:
#
# - **On the roof:** as fast as the model allows.
# - **Well below it:** time went where the model does not look. Starting the call, a kernel that does not suit the shape,
#   poor overlap. Near the ridge, half of the roof is what a machine without overlap would reach.
# - **Above it:** then a ceiling was measured too low. On the slope, because the layer mostly reads while the copy also
#   wrote. On the flat part, because something disturbed the product; look at its warnings and its spread.
# - If the spread (IQR) is more than a tenth of the median, measure again before you conclude anything.
#
# ## 10. Where the roofline is used
#
# Why it matters: four everyday decisions need nothing beyond this lecture. The next three cells make them.
#
# - **What to optimise.** `resnet.on("a100-80gb-sxm", "fp16")` tells which kinds of layers take the time and what limits
#   them. Batch normalization and activations take nearly as long as the convolutions, all of it memory-bound.
# - **How to optimise a kernel.** Raise its intensity, with the same FLOPs and fewer bytes. Fold batch normalization into
#   the convolution before it, and run the activation in the same kernel: their traffic is gone.
# - **How to compare models.** Put bytes beside MACs: `resnet.compare(mobilenet)` has both, ResNet-50 first.
# - **Which batch to choose.** The ridge asks for a batch, and memory may not hold it. Llama 3 8B at fp16 on one H100,
#   8192 tokens for each user: how many users fit, and how many do its widest linear layers need?

# %%
placed = resnet.on("a100-80gb-sxm", "fp16")
fused = [one for one in placed.layers if one.layer.kind not in ("batch_norm", "activation")]
for name, layers in [("one by one", placed.layers), ("fused", fused)]:
    intensity = resnet.flops / sum(one.bytes_moved for one in layers)
    least = sum(one.time_s for one in layers) * 1e6
    print(f"{name:<10}  {intensity:.1f} FLOPs/byte, at least {least:.1f} µs")
assert round(placed.time_s * 1e6 / least, 2) == 1.62
placed

# %%
resnet.compare(mobilenet)

# %%
with torch.device("meta"):
    llama = zoo.llama3(embed_dim=4096, num_layers=32, num_heads=32, ffn_dim=14336)
h100 = hardware["h100-sxm5"]
params = sum(weight.numel() for weight in llama.parameters())
room = h100.memory.value - counts.model_size(params, bits=16)  # bytes that the weights leave
users = room // counts.kv_cache_size(4096, 32, 8192, num_kv_heads=8, num_layers=32, bits=16)
needed = h100.roofline("fp16").critical_batch(4096, 14336, dtype_bytes=2)
print(f"{params:,} parameters; {users:.0f} caches fit beside them; critical batch {needed:.0f}")
assert (int(users), round(needed)) == (59, 326)

# %% [markdown]
# Fusing left every convolution as it was, and the bound on the model fell by a factor of 1.62. On the H100 memory ends at
# 59 users, long before the ridge at 326: in decode this server is memory-bound at every batch that fits. (Activations
# need room as well, so 59 is generous.)
#
# ## Summary
#
# - Arithmetic intensity $I$ = FLOPs / bytes moved. It belongs to the work; peak $\pi$ and bandwidth $\beta$ belong to the
#   machine.
# - $P \le \min(\pi, I\beta)$, or $T \ge \max(F/\pi, D/\beta)$. A bound and no forecast: perfect overlap, each operand
#   once, bytes at DRAM. Without overlap the time is the sum, at most twice as long.
# - Ridge point $\pi / \beta$: left of it memory-bound, right of it compute-bound. It belongs to a card *and* a number
#   format: 153 for the A100 80GB SXM at fp16, 9.6 at fp32.
# - Linear layer: $I = 2Bmn / (b(Bn + mn + Bm))$. About $2B/b$ for small $B$, always below $2mn/(b(m+n))$. It reaches the
#   ridge $r$ at $B^* = rbmn / (2mn - rb(m+n))$; a square fp16 layer with $n \le 2r$ never does.
# - Convolutions reuse weights over the map. Depthwise ones stay below $k^2/b$. Element-wise layers, normalization and
#   pooling have a small constant. Fused attention has $N/b$, unfused less than $d_h/b$.
# - Decode has about 1 FLOP/byte at fp16. A batch helps the weights and not the cache.
# - Memory-bound? Move fewer bytes: fuse, batch, use a smaller format. Compute-bound? Do fewer FLOPs, or use faster units.
#   Does it fit? Ask something else than the roofline.
#
# ## What comes next
#
# A lab on the roofline will ask you to write these functions: intensity, ridge point, critical batch, bound. It is not
# written yet. Lab 2 exists today: it counts the parameters and bytes that this lecture moved around.
#
# ## Sources
#
# - S. Williams, A. Waterman, D. Patterson,
#   [Roofline: An Insightful Visual Performance Model for Multicore Architectures](https://doi.org/10.1145/1498765.1498785),
#   Communications of the ACM 52(4), 2009: the paper behind this lecture, short and readable.
# - NVIDIA,
#   [GPU Performance Background](https://docs.nvidia.com/deeplearning/performance/dl-performance-gpu-background/index.html):
#   math and memory bounds, with the layer of 1024 inputs and 4096 outputs.
# - T. Dao and others, [FlashAttention](https://arxiv.org/abs/2205.14135), 2022. R. Pope and others,
#   [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102), 2022.
# - S. Bekman, [Machine Learning Engineering](https://github.com/stas00/ml-engineering): the fastest products found on the
#   A100 and the H100. J. Austin and others, [How to Scale Your Model](https://jax-ml.github.io/scaling-book/): rooflines
#   in practice, and the sum of two vectors on an H100.
# - Each figure of a machine carries its source: `hardware["t4"].bandwidth.source`. The quotations are from public lecture
#   notes.
