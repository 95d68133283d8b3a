"""Figures that all of the course draws alike: each returns a matplotlib `Figure` and can say in words what it shows.

Nothing here touches pyplot or matplotlib's settings. ``effkit.plot.describe(figure)`` is the figure in words, written from
the data in it, for those who cannot see it; `effkit.show` gives it to the screen reader.
"""

from effkit.plot.distribution import latency_distribution
from effkit.plot.layers import layer_bars, memory_timeline
from effkit.plot.picture import describe
from effkit.plot.roof import roofline
from effkit.plot.roof_data import Point

__all__ = ["Point", "describe", "latency_distribution", "layer_bars", "memory_timeline", "roofline"]
