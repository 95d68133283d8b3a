"""``effkit profile package.module:Model --input 1x3x224x224``: a profile in a terminal."""

import argparse
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

_HELP = """\
count a model's parameters, MACs, activations and bytes moved

MODEL is a class or function that needs no arguments, or a module, in a Python module of this folder or an installed package.

  effkit profile effkit.zoo:resnet50 --input 1x3x224x224
  effkit profile effkit.zoo:gpt2 --input 1x128:int64 --on h100-sxm5:bf16
"""


def add(commands: Any) -> None:
    """Add the command to the others."""
    parser = commands.add_parser(
        "profile",
        help="count a model's parameters, MACs, activations and bytes moved",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODULE:MODEL", help="where the model is, for example effkit.zoo:resnet50")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        type=_shape,
        metavar="SHAPE[:DTYPE]",
        help="the shape of an argument, such as 1x3x224x224 or 1x128:int64 (default dtype: float32); repeat it for more",
    )
    parser.add_argument("--on", metavar="DEVICE:DTYPE", help="also the least time on a device, for example t4:fp16")
    parser.add_argument("--train", action="store_true", help="in training mode (default: evaluation mode)")
    parser.add_argument("--training", action="store_true", help="also the backward pass and what it needs kept")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the profile; return 0, or 2 with a line that says what was wrong."""
    from effkit.profiling.profile import ForwardError

    try:
        try:
            found, placed, step = _profiled(options, "meta")
        except ForwardError as problem:
            if "meta" not in str(problem).lower():
                raise
            found, placed, step = _profiled(options, "cpu")  # the model looks at its numbers
    except (ForwardError, ImportError, KeyError, TypeError, ValueError) as problem:
        message = str(problem.args[0] if isinstance(problem, KeyError) else problem)
        print(f"effkit: {message.splitlines()[0]}", file=sys.stderr)
        return 2
    if options.json:
        placement = {} if placed is None else {"on": options.on, "time_s": placed.time_s}
        training = {} if step is None else {"training": step.to_dict()}
        print(json.dumps({**found.to_dict(), **placement, **training}))
    else:
        print("\n\n".join(str(part) for part in (found, placed, step) if part is not None))
    return 0


def _profiled(options: argparse.Namespace, device: str) -> tuple[Any, Any, Any]:
    """Return the profile of the model, made on a device; and on the machine and in training, or None where not asked for."""
    import torch

    from effkit.profiling.profile import profile
    from effkit.profiling.training import profile_training

    model = _load(options.model, device)
    inputs = [torch.zeros(shape, dtype=dtype, device=device) for shape, dtype in options.input]
    if isinstance(model, torch.nn.Module):
        model.train(options.train)
    found = profile(model, *inputs)
    placed = found.on(*_device_and_dtype(options.on)) if options.on else None
    return found, placed, profile_training(model, *inputs) if options.training else None


def _shape(argument: str) -> tuple[tuple[int, ...], Any]:
    """Return the sizes and the dtype of "1x3x224x224" or "1x128:int64"."""
    import torch

    sizes, _, name = argument.partition(":")
    dtype = getattr(torch, name or "float32", None)
    if not re.fullmatch(r"\d+(x\d+)*", sizes) or not isinstance(dtype, torch.dtype):
        raise argparse.ArgumentTypeError(f"must be like 1x3x224x224 or 1x128:int64, not {argument!r}")
    return tuple(map(int, sizes.split("x"))), dtype


def _device_and_dtype(argument: str) -> tuple[str, str]:
    device, separator, dtype = argument.partition(":")
    if not separator:
        raise ValueError(f"--on must be DEVICE:DTYPE, such as t4:fp16, not {argument!r}")
    return device, dtype


def _load(argument: str, device: str) -> Any:
    """Return the model that "package.module:name" names; a class or function is called, on `device` if it can be."""
    import torch

    place, _, name = argument.partition(":")
    if not place or not name:
        raise ValueError(f"the model must be given as MODULE:NAME, such as effkit.zoo:resnet50, not {argument!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(place)
    except Exception as error:
        raise ValueError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{place} has no {name!r}")
        found = getattr(found, part)
    if isinstance(found, torch.nn.Module):
        return found
    if not callable(found):
        raise ValueError(f"{argument} is no model, class or function, but {found!r}")
    try:
        with torch.device(device):
            return found()
    except Exception:  # noqa: BLE001  a model may look at its numbers while it is built
        pass
    try:
        return found()
    except Exception as error:
        raise ValueError(f"{argument} cannot be made: {type(error).__name__}: {error}") from error
