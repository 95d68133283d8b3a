"""Closed forms that explain themselves: what is shown is what is computed. And how they are withheld."""

import re
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import effkit
from effkit import conv_output_size, counts, explain, receptive_field, roofline, same_padding, shapes
from effkit.formula import Withheld, formula, withheld
from effkit.quantity import ceil_divide, exact_divide

SMALL = st.integers(1, 6)
LARGE = st.integers(1, 5000)
BOOLEANS = st.booleans()


@st.composite
def calls(draw):
    """A closed form with arguments that it accepts and shows with at least two symbols or numbers."""

    def kernel(part=SMALL):
        return draw(part | st.lists(part, min_size=1, max_size=3).map(tuple))

    match draw(st.integers(1, 17)):
        case 1:
            return counts.linear_params, (draw(LARGE), draw(LARGE)), {"bias": draw(BOOLEANS)}
        case 2:
            groups = draw(SMALL)
            channels = groups * draw(SMALL), groups * draw(LARGE)
            return counts.conv_params, (*channels, kernel()), {"groups": groups, "bias": draw(BOOLEANS)}
        case 3:
            return counts.norm_params, (draw(LARGE),), {}
        case 4:
            num_kv_heads = draw(SMALL)
            num_heads = num_kv_heads * draw(SMALL)
            grouped = draw(st.sampled_from([None, num_kv_heads]))
            options = {"num_kv_heads": grouped, "bias": draw(BOOLEANS)}
            return counts.attention_params, (num_heads * draw(SMALL), num_heads), options
        case 5:
            return counts.model_size, (draw(LARGE),), {"bits": draw(st.integers(1, 64))}
        case 6:
            size = draw(st.integers(16, 2000) | st.lists(st.integers(16, 2000), min_size=1, max_size=3).map(tuple))
            options = {"stride": draw(SMALL), "padding": draw(st.integers(0, 3)), "dilation": draw(st.integers(1, 3))}
            return conv_output_size, (size, draw(SMALL)), options
        case 7:
            return same_padding, (kernel(st.sampled_from([1, 3, 5, 7])), draw(SMALL)), {}
        case 8:
            dimensions, groups = draw(st.integers(1, 3)), draw(SMALL)
            spatial = [tuple(draw(LARGE) for _ in range(dimensions)) for _ in range(3)]
            channels, batch = (groups * draw(SMALL), groups * draw(LARGE)), draw(SMALL)
            form, arguments = draw(
                st.sampled_from([(counts.conv_macs, 2), (counts.conv_transpose_macs, 2), (counts.conv_bytes, 3)])
            )
            return form, (*channels, *spatial[:arguments]), {"groups": groups, "batch": batch}
        case 9:
            num_kv_heads = draw(SMALL)
            num_heads = num_kv_heads * draw(SMALL)
            kv_len = draw(st.none() | LARGE)
            options = {"kv_len": kv_len, "num_kv_heads": draw(st.sampled_from([None, num_kv_heads])), "batch": draw(SMALL)}
            form = draw(st.sampled_from([counts.attention_macs, counts.attention_bytes]))
            if form is counts.attention_macs:
                options |= {"projections": draw(BOOLEANS), "cached_len": draw(st.integers(0, kv_len or 1))}
            else:
                options |= {"fused": draw(BOOLEANS), "bits": draw(st.integers(1, 64))}
            return form, (num_heads * draw(SMALL), num_heads, draw(LARGE)), options
        case 10:
            cell = draw(st.sampled_from(["lstm", "gru", "rnn"]))
            options = {"num_layers": draw(SMALL), "bidirectional": draw(BOOLEANS)}
            if draw(BOOLEANS):
                return counts.recurrent_params, (cell, draw(LARGE), draw(LARGE)), {**options, "bias": draw(BOOLEANS)}
            return counts.recurrent_macs, (cell, draw(LARGE), draw(LARGE), draw(LARGE)), {**options, "batch": draw(SMALL)}
        case 11:
            return counts.linear_bytes, (draw(LARGE), draw(LARGE)), {"bias": draw(BOOLEANS), "batch": draw(LARGE)}
        case 12:
            form = draw(st.sampled_from([counts.linear_macs, counts.linear_bytes, counts.embedding_params]))
            return form, (draw(LARGE), draw(LARGE)), {}
        case 13:
            form = draw(st.sampled_from([counts.linear_activations, counts.conv_activations]))
            sizes = (draw(LARGE),) if form is counts.linear_activations else (draw(LARGE), kernel())
            return form, sizes, {"batch": draw(LARGE)}
        case 14:
            form = draw(st.sampled_from([counts.gemm_macs, counts.pool_bytes]))
            return form, (draw(LARGE), draw(LARGE), draw(LARGE)), {}
        case 15:
            form = draw(st.sampled_from([counts.flops, counts.elementwise_bytes]))
            return form, (draw(LARGE),), {}
        case 16:
            return counts.kv_cache_size, (12, 6, draw(LARGE)), {"num_kv_heads": draw(st.sampled_from([None, 1, 2, 3, 6]))}
        case _:
            layer = st.tuples(SMALL, SMALL) | st.tuples(SMALL, SMALL, SMALL)
            return receptive_field, (draw(st.lists(layer, min_size=1, max_size=5)),), {}


@given(calls())
def test_explained_values_are_those_of_the_plain_call(call):
    function, args, kwargs = call
    result = function(*args, **kwargs)
    explanation = explain(function, *args, **kwargs)
    assert explanation.values == (result if isinstance(result, tuple) else (result,))
    assert {type(value) for value in explanation.values} == {int}
    shown = ", ".join(f"{value:,}" for value in explanation.values)
    assert str(explanation).splitlines()[-1].strip() == f"= {shown} {explanation.unit}"


def evaluate(line):
    """Return the exact value of each part of a line such as ``⌊(1,024 + 2 · 3) / 2⌋ + 1``, text or LaTeX."""
    line = re.sub(r"(?<=\d)(,|\{,\})(?=\d{3})", "", line)
    line = re.sub(r"\d+", r"Fraction(\g<0>)", line)
    python = {
        "·": "*",
        "⌊": "floor(",
        "⌋": ")",
        "⌈": "ceil(",
        "⌉": ")",
        r"\cdot": "*",
        r"\left\lfloor": "floor(",
        r"\right\rfloor": ")",
        r"\left\lceil": "ceil(",
        r"\right\rceil": ")",
        r"\frac{": "divide(",
        "}{": ", ",
        "}": ")",
    }
    for mark, code in python.items():
        line = line.replace(mark, code)
    names = {"Fraction": Fraction, "floor": floor, "ceil": ceil, "divide": lambda left, right: left / right}
    return eval(f"({line},)", names)


def text_numbers(explanation):
    """Return the line with the numbers put in, as text."""
    return str(explanation).splitlines()[1].strip().removeprefix("= ")


def latex_numbers(explanation):
    """Return the line with the numbers put in, as LaTeX."""
    return explanation._repr_latex_().splitlines()[2].removeprefix("&= ").removesuffix(r" \\")


@given(calls())
def test_the_line_of_numbers_has_the_value_of_the_result(call):
    function, args, kwargs = call
    explanation = explain(function, *args, **kwargs)
    assert evaluate(text_numbers(explanation)) == explanation.values
    assert evaluate(latex_numbers(explanation)) == explanation.values


@pytest.mark.parametrize(
    "arrangement",
    [
        lambda a, b: a - (b - 3),
        lambda a, b: a - (b + 3) - 2,
        lambda a, b: 5000 - a * (b + 3),
        lambda a, b: (a + b) * (a - b),
        lambda a, b: a // b * 3,
        lambda a, b: a // (b * 3),
        lambda a, b: a // (b // 3),
        lambda a, b: (a + b) // (b - 3),
        lambda a, b: ceil_divide(a, b * 3),
        lambda a, b: ceil_divide(a + 1, b) // 3,
        lambda a, b: exact_divide(a * b, 5 * b),
        lambda a, b: a * exact_divide(3 * b, b) * 2,
        lambda a, b: 3 * a // exact_divide(2 * b, 2),
        lambda a, b: a - exact_divide(b * 3, 3),
    ],
)
def test_parentheses_keep_the_value_of_any_arrangement(arrangement):
    @formula("x", "things", a="a", b="b")
    def closed_form(a, b):
        return arrangement(a, b)

    explanation = explain(closed_form, 1000, 7)
    assert explanation.values == (arrangement(1000, 7),)
    assert evaluate(text_numbers(explanation)) == explanation.values
    assert evaluate(latex_numbers(explanation)) == explanation.values


OPENED_BY = {"}": "{", r"\right": r"\left", r"\end": r"\begin"}


def is_balanced(latex):
    """Whether each brace, \\left and \\begin is closed in the right order."""
    opened = []
    for mark in re.findall(r"[{}]|\\left|\\right|\\begin|\\end", latex):
        if mark not in OPENED_BY:
            opened.append(mark)
        elif not opened or opened.pop() != OPENED_BY[mark]:
            return False
    return not opened


@given(calls())
def test_the_latex_is_balanced_display_math(call):
    function, args, kwargs = call
    latex = explain(function, *args, **kwargs)._repr_latex_()
    assert latex.startswith("$$")
    assert latex.endswith("$$")
    assert latex.count("$") == 4
    assert is_balanced(latex)


def test_text_of_a_grouped_convolution_has_a_fraction():
    assert str(explain(counts.conv_params, 8, 1600, (3, 5), groups=4)) == (
        "params = C_out · (C_in / g) · k_h · k_w + C_out\n"
        "       = 1,600 · (8 / 4) · 3 · 5 + 1,600\n"
        "       = 49,600 parameters"
    )


def test_text_of_a_convolution_without_groups_has_no_fraction():
    assert str(explain(counts.conv_params, 8, 16, 5, bias=False)) == (
        "params = C_out · C_in · k · k\n       = 16 · 8 · 5 · 5\n       = 3,200 parameters"
    )


def test_text_of_grouped_query_attention():
    assert str(explain(counts.attention_params, 16, 4, num_kv_heads=2)) == (
        "params = 2 · d · d + 2 · d · h_kv · (d / h) + 2 · d + 2 · h_kv · (d / h)\n"
        "       = 2 · 16 · 16 + 2 · 16 · 2 · (16 / 4) + 2 · 16 + 2 · 2 · (16 / 4)\n"
        "       = 816 parameters"
    )


def test_text_of_attention_shows_its_parts():
    assert str(explain(counts.attention_macs, 16, 4, 3, kv_len=10, cached_len=7)) == (
        "MACs = B · (2 · N · d · d + 2 · (N_kv - N_cached) · d · d + 2 · N · N_kv · d)\n"
        "     = 1 · (2 · 3 · 16 · 16 + 2 · (10 - 7) · 16 · 16 + 2 · 3 · 10 · 16)\n"
        "     = 4,032 MACs"
    )


def test_text_and_latex_of_a_real_number():
    explanation = explain(roofline.bandwidth_utilisation, 6e9, 0.004, 2e12)
    assert explanation.values == (0.75,)
    assert str(explanation) == (
        "utilisation = (bytes / t) / β\n            = (6e9 / 0.004) / 2e12\n            = 0.75 of peak bandwidth"
    )
    assert r"&= \frac{\frac{6 \times 10^{9}}{0.004}}{2 \times 10^{12}} \\" in explanation._repr_latex_().splitlines()
    assert is_balanced(explanation._repr_latex_())


@given(st.integers(0, 10**12), st.integers(1, 10**12))
def test_an_intensity_of_integers_is_explained_as_their_fraction(flops, moved):
    explanation = explain(effkit.arithmetic_intensity, flops, moved)
    assert explanation.values == (effkit.arithmetic_intensity(flops, moved),) == (flops / moved,)
    assert evaluate(text_numbers(explanation)) == evaluate(latex_numbers(explanation)) == (Fraction(flops, moved),)


def test_text_of_a_model_size_is_rounded_up():
    assert str(explain(counts.model_size, 1001, bits=3)) == "size = ⌈N · b / 8⌉\n     = ⌈1,001 · 3 / 8⌉\n     = 376 bytes"


def test_text_of_an_output_size_is_rounded_down():
    assert str(explain(conv_output_size, 224, 11, 4, 2)) == (
        "n_out = ⌊(n + 2 · p - d · (k - 1) - 1) / s⌋ + 1\n"
        "      = ⌊(224 + 2 · 2 - 1 · (11 - 1) - 1) / 4⌋ + 1\n"
        "      = 55 elements"
    )


def test_text_of_a_receptive_field_numbers_its_layers():
    assert str(explain(receptive_field, [(7, 2), (3, 2, 4), (5, 1)])) == (
        "r = 1 + (k_1 - 1) + d_2 · (k_2 - 1) · s_1 + (k_3 - 1) · s_1 · s_2\n"
        "  = 1 + (7 - 1) + 4 · (3 - 1) · 2 + (5 - 1) · 2 · 2\n"
        "  = 39 elements"
    )


def test_text_of_a_single_symbol_has_no_line_of_numbers():
    assert str(explain(counts.norm_params, 1024, bias=False)) == "params = C\n       = 1,024 parameters"


def test_latex_of_a_grouped_convolution():
    assert explain(counts.conv_params, 8, 1600, (3,), groups=4, bias=False)._repr_latex_() == (
        "$$\\begin{aligned}\n"
        "\\text{params} &= C_{\\text{out}} \\cdot \\frac{C_{\\text{in}}}{g} \\cdot k \\\\\n"
        "&= 1{,}600 \\cdot \\frac{8}{4} \\cdot 3 \\\\\n"
        "&= 9{,}600\\ \\text{parameters}\n"
        "\\end{aligned}$$"
    )


@pytest.mark.parametrize("thing", [len, 3, None, counts, explain])
def test_only_a_closed_form_can_be_explained(thing):
    with pytest.raises(TypeError, match="is not one of effkit's closed forms"):
        explain(thing, 3)


@pytest.mark.parametrize("layer", [(3.5, 1), (3, True), (3, 1, 1, 1), ("a", 1), 3])
def test_explain_refuses_the_layers_that_receptive_field_refuses(layer):
    with pytest.raises(ValueError, match=r"^layers\[0\] "):
        explain(receptive_field, [layer])


def test_numpy_integers_have_their_symbols():
    assert str(explain(counts.linear_params, np.int64(20), 10)) == str(explain(counts.linear_params, 20, 10))


CLOSED_FORMS = [f for module in (counts, shapes, roofline) for f in vars(module).values() if hasattr(f, "closed_form")]


def test_every_public_count_and_shape_is_a_closed_form():
    names = {form.__name__ for form in CLOSED_FORMS}
    assert set(counts.__all__) <= names
    assert {"conv_output_size", "same_padding", "receptive_field"} <= names


@pytest.mark.parametrize("form", CLOSED_FORMS, ids=lambda form: form.__name__)
def test_a_withheld_closed_form_says_why(form):
    with withheld("write it yourself"):
        with pytest.raises(Withheld, match=f"{form.__name__} does not answer here: write it yourself"):
            form()
        with pytest.raises(Withheld, match="explain does not answer here: write it yourself"):
            explain(form)


def test_closed_forms_answer_again_after_the_block():
    with withheld("not now"):
        pass
    assert counts.linear_params(20, 10) == 210
    assert explain(counts.linear_params, 20, 10).values == (210,)


def test_closed_forms_answer_again_after_an_exception_in_the_block():
    with pytest.raises(KeyError), withheld("not now"):
        raise KeyError
    assert effkit.conv_output_size(4, 2) == 3
    assert explain(conv_output_size, 4, 2).values == (3,)


def test_leaving_an_inner_block_keeps_the_outer_one():
    with withheld("outer"):
        with withheld("inner"), pytest.raises(Withheld, match="inner"):
            counts.norm_params(32)
        with pytest.raises(Withheld, match="outer"):
            counts.norm_params(32)
    assert counts.norm_params(32) == 64
