"""The other counters, one thin adapter each: what each says of a model, with its own word for the unit.

`ask` gives a counter a copy of the model and keeps what it prints, raises and changes to itself. A counter that is not
installed, or fails, gives a `Reading` with an error. The adapters call the counters as their READMEs do, under
``no_grad``. fvcore and torchprofile trace with ``torch.jit``, which fails on the meta device for most networks.

thop and ultralytics-thop share the import name ``thop``, so one environment can hold only one of them. Here it is
ultralytics-thop: it is the maintained one, it counts attention, and it leaves no buffers in the model.
"""

import contextlib
import copy
import importlib
import importlib.util
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Counted = tuple[int | None, int | None]  # the counter's figure and its number of parameters, None where it gives none
Count = Callable[[nn.Module, tuple[Any, ...]], Counted]


@dataclass(frozen=True)
class Peer:
    """A counter: the package that has it, its own word for its unit, and how many of that unit it takes for one MAC."""

    name: str
    distribution: str
    unit: str
    per_mac: int
    count: Count

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(self.distribution).partition("+")[0]
        return None


@dataclass(frozen=True)
class Reading:
    """What a counter says of one model: its own figure, the same in MACs, its parameters; or an error."""

    peer: Peer
    figure: int | None = None
    params: int | None = None
    error: str = ""

    @property
    def macs(self) -> int | None:
        """The figure in MACs by the counter's own convention; what is no MAC may be among them."""
        return None if self.figure is None else self.figure // self.peer.per_mac


# The adapters: each changes the model it is given as its counter does, prints and raises as its counter does.


def _flop_counter_mode(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    with FlopCounterMode(display=False) as counter:
        model(*args)
    return counter.get_total_flops(), None


def _flop_counter_mode_on_meta(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    return _flop_counter_mode(model.to("meta"), tuple(x.to("meta") for x in args))


def _fvcore(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    analysis = FlopCountAnalysis(model, args).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return analysis.total(), parameter_count(model)[""]


def _ptflops(backend: str) -> Count:
    def count(model: nn.Module, args: tuple[Any, ...]) -> Counted:
        from ptflops import get_model_complexity_info

        (x,) = args
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            macs, params = get_model_complexity_info(
                model,
                tuple(x.shape[1:]),
                input_constructor=lambda _: x,
                print_per_layer_stat=False,
                as_strings=False,
                backend=backend,
                ost=said,
            )
        if macs is None:  # it prints the exception
            raise RuntimeError(said.getvalue().strip().splitlines()[-1])
        return macs, params

    return count


def _thop(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    from thop import profile

    macs, params = profile(model, inputs=args, verbose=False)
    return int(macs), int(params)


def _torchinfo(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    from torchinfo import summary

    statistics = summary(model, input_data=args, verbose=0, device=args[0].device)
    return statistics.total_mult_adds, statistics.total_params


def _calflops(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    _, macs, params = _calflops_counter().calculate_flops(
        model, args=list(args), print_results=False, print_detailed=False, output_as_string=False
    )
    return macs, params


@cache
def _calflops_counter() -> Any:
    """Import the counter of calflops alone: its package imports transformers, for model names that nobody gives here."""
    spec = importlib.util.find_spec("calflops")
    if spec is None:
        raise ModuleNotFoundError("No module named 'calflops'", name="calflops")
    sys.modules["calflops"] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module("calflops.flops_counter")
    finally:
        del sys.modules["calflops"]


def _torchprofile(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    from torchprofile import profile_macs

    return profile_macs(model, args), None


def _torchscan(model: nn.Module, args: tuple[Any, ...]) -> Counted:
    from torchscan import crawl_module

    totals = crawl_module(model, args=args)["totals"]
    flops = totals["operator_flops"]  # "known_value" where it met operators that it has no formula for
    return flops["value"] or flops["known_value"], totals["parameters"]["value"]


PEERS = (
    Peer("FlopCounterMode", "torch", "FLOPs", 2, _flop_counter_mode),
    Peer("fvcore", "fvcore", "flops", 1, _fvcore),
    Peer("ptflops aten", "ptflops", "MACs", 1, _ptflops("aten")),
    Peer("ptflops pytorch", "ptflops", "MACs", 1, _ptflops("pytorch")),
    Peer("ultralytics-thop", "ultralytics-thop", "MACs", 1, _thop),
    Peer("torchinfo", "torchinfo", "mult-adds", 1, _torchinfo),
    Peer("calflops", "calflops", "MACs", 1, _calflops),
    Peer("torchprofile", "torchprofile", "MACs", 1, _torchprofile),
    Peer("torchscan", "torchscan", "FLOPs", 2, _torchscan),
)
# torch's counter once more, away from the CPU: what it says where attention is two plain matrix products.
ON_META = Peer("FlopCounterMode on meta", "torch", "FLOPs", 2, _flop_counter_mode_on_meta)


def by_name(name: str) -> Peer:
    """Return the counter of this name; raises KeyError if there is none."""
    return {peer.name: peer for peer in PEERS}[name]


def ask(peer: Peer, model: nn.Module, *args: Any) -> Reading:
    """Return what a counter says of a model in evaluation mode; never raises and never prints, and changes nothing."""
    if peer.version is None:
        return Reading(peer, error=f"not installed: pip install {peer.distribution}")
    try:
        with quiet(), unpatched():
            figure, params = peer.count(copy.deepcopy(model).eval(), args)
    except Exception as error:  # noqa: BLE001  # whatever a counter does wrong is its result
        return Reading(peer, error=f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")[:100])
    return Reading(peer, figure, params)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Run what follows without gradients, output and warnings."""
    sink = io.StringIO()
    with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def unpatched() -> Iterator[None]:
    """Undo what some counters leave in torch: they replace its functions, and not all put them back."""
    import torch._dynamo  # torch loads it at first use; loaded while functions are replaced, it would keep the replacements

    places = (torch, torch.Tensor, torch.nn.functional)
    before = [dict(vars(place)) for place in places]
    try:
        yield
    finally:
        for place, names in zip(places, before, strict=True):
            _restore(place, names)


def _restore(place: Any, names: dict[str, Any]) -> None:
    for name, value in list(vars(place).items()):
        if name not in names:
            delattr(place, name)
        elif value is not names[name]:
            setattr(place, name, names[name])
