"""Controls for `effkit.Explore` from plain Python values: core ipywidgets, each with a label that a screen reader finds."""

from collections.abc import Mapping
from numbers import Integral, Real
from types import ModuleType
from typing import Any

# ipywidgets gives the handle of a slider no name (WCAG 4.1.2), reads out positions where its steps are a list, and does not
# tie a label to a group of buttons. Label and readout stand beside them: when a picture has loaded, this copies their texts
# to where a screen reader looks. In ipywidgets 7 a handle is .ui-slider-handle. It runs once more later, because the first
# picture may load before the controls are there.
NAME_CONTROLS = """
const name = () => {
  for (const row of this.closest('.effkit-explore')?.querySelectorAll('.widget-inline-hbox') ?? []) {
    const label = row.querySelector('.widget-label')?.textContent;
    const readout = row.querySelector('.widget-readout')?.textContent;
    for (const handle of row.querySelectorAll('.noUi-handle, .ui-slider-handle')) {
      handle.setAttribute('role', 'slider');
      handle.setAttribute('aria-label', label);
      handle.setAttribute('aria-valuetext', readout);
      if (!handle.matches('[aria-valuenow]')) handle.setAttribute('aria-valuenow', parseFloat(readout) || 0);
    }
    if (row.matches('.widget-radio, .widget-toggle-buttons')) {
      row.setAttribute('role', 'group');
      row.setAttribute('aria-label', label);
    }
  }
};
name();
setTimeout(name, 500);
"""


def ipywidgets() -> ModuleType:
    """Return ipywidgets. Raises ImportError, saying what to install, where it is missing."""
    try:
        import ipywidgets  # type: ignore[import-untyped, unused-ignore]
    except ImportError as missing:
        raise ImportError("effkit.Explore needs ipywidgets: python -m pip install ipywidgets") from missing
    return ipywidgets


def control(name: str, given: Any, label_width: str) -> Any:
    """Return the control that a plain value stands for, labelled with its name; a widget stays as it is.

    A range or a (min, max, step) tuple becomes a slider, so does a list of numbers; other choices become a menu, and True or
    False a box to tick. Raises ValueError for anything else, and where there is nothing to choose from.
    """
    if isinstance(given, ipywidgets().Widget):
        if not getattr(given, "description", ""):
            given.description = _label(name)
        return given
    kind, options = _kind(name, given)
    made = getattr(ipywidgets(), kind)(description=_label(name), **options)
    made.style.description_width = label_width
    made.layout.width = "min(100%, 34em)"
    return made


def setting(made: Any) -> str:
    """Return in words what a control is set to."""
    value = getattr(made, "label", None) or made.value
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _kind(name: str, given: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of the widget class and its options."""
    match given:
        case bool():
            return "Checkbox", {"value": given}
        case range() if given:
            return "IntSlider", {"value": min(given), "min": min(given), "max": max(given), "step": abs(given.step)}
        case tuple() if _is_span(given):
            span = dict(zip(("min", "max", "step"), given, strict=True), value=given[0])
            whole = all(isinstance(number, Integral) for number in given)
            return ("IntSlider", span) if whole else ("FloatSlider", {**span, "readout_format": ".4g"})
        case Mapping() if given:
            return "Dropdown", {"options": list(given.items())}
        case list() if given:
            return "SelectionSlider" if all(isinstance(choice, Real) for choice in given) else "Dropdown", {"options": given}
    choices = "a range, a (min, max, step) tuple, a list or dict of choices, True or False, or a widget"
    raise ValueError(f"{name} must be {choices}; not {given!r}")


def _is_span(given: tuple[Any, ...]) -> bool:
    return len(given) == 3 and all(isinstance(x, Real) for x in given) and given[0] < given[1] and given[2] > 0
