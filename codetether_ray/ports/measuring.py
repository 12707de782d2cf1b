"""Measuring key results, for whoever works towards them."""

from collections.abc import Awaitable, Callable

from codetether_ray.core.measures import KrReading, MeasureAt

Measure = Callable[[MeasureAt], Awaitable[tuple[KrReading, ...]]]
"""Measures every key result at a commit: one reading each, in the OKR's order.

What cannot be measured is a reading without a value; only cancellation is raised.
"""
