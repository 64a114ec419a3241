"""The chart of a pool's stock: the past, the alert, refills, and when it will be empty.

Everything is placed by numbers in attributes of the SVG, for the content security policy forbids inline styles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.dateformat import format as format_date

from pools.services.forecasts import Forecast
from pools.services.stock_history import StockDay

MAX_BARS = 120
WIDTH, HEIGHT = 1000, 100  # of the plot, which is stretched to the page


def round_up(number: int) -> int:
    """The next number with one digit that is 1, 2, 4, 5, 6, 8 or 10, for the end of an axis."""
    if number <= 4:
        return 4
    power = 10 ** (len(str(number)) - 1)
    return next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= number)


@dataclass(frozen=True)
class StockChart:
    """A chart.

    Attributes:
        history: the past, today last.
        days: the number of days that each entry of the history stands for.
        threshold: the low-stock alert in keys, or None.
    """

    history: Sequence[StockDay]
    days: int
    threshold: int | None
    forecast: Forecast | None

    @property
    def top(self) -> int:
        """The end of the vertical axis."""
        return round_up(max([*(each.stock for each in self.history), self.threshold or 0]))

    @property
    def _future(self) -> int:
        """The number of entries that the forecast has room for, up to a third of the chart."""
        if self.forecast is None:
            return 0
        wanted = (self.forecast.latest - self.history[-1].day).days // self.days + 2
        return min(wanted, max(len(self.history) // 2, 3))

    @property
    def _step(self) -> float:
        return WIDTH / (len(self.history) + self._future)

    def _x(self, place: float) -> float:
        return round((place + 0.5) * self._step, 1)

    def _y(self, stock: float) -> float:
        return round(HEIGHT - HEIGHT * stock / self.top, 1)

    @property
    def line(self) -> str:
        """The points of the stock."""
        return " ".join(f"{self._x(place)},{self._y(each.stock)}" for place, each in enumerate(self.history))

    @property
    def area(self) -> str:
        """The points of the area below the stock."""
        return f"{self._x(0)},{HEIGHT} {self.line} {self._x(len(self.history) - 1)},{HEIGHT}"

    @property
    def forecast_area(self) -> str:
        """The points of the area between the earliest and the latest way to an empty pool."""
        if self.forecast is None:
            return ""
        now, stock = len(self.history) - 1, self.history[-1].stock
        earliest = self._place(self.forecast.earliest)
        latest = max(self._place(self.forecast.latest), earliest + 0.3)
        return f"{self._x(now)},{self._y(stock)} {self._x(earliest)},{HEIGHT} {self._x(latest)},{HEIGHT}"

    def _place(self, day: date) -> float:
        return len(self.history) - 1 + (day - self.history[-1].day).days / self.days

    @property
    def threshold_y(self) -> float | None:
        """The height of the alert in the plot."""
        return None if self.threshold is None else self._y(self.threshold)

    @property
    def now(self) -> float:
        """Where today is, in percent of the width."""
        return round(self._x(len(self.history) - 1) / WIDTH * 100, 2)

    @property
    def refills(self) -> Iterator[dict[str, Any]]:
        """The imports, each with its place in percent of the width."""
        for place, each in enumerate(self.history):
            if each.imported:
                yield {"x": round(self._x(place) / WIDTH * 100, 2), "day": each.day, "number": each.imported}

    @property
    def most_out(self) -> int:
        """The largest number of keys that were handed out on a day, or in an entry."""
        return max(each.handed_out for each in self.history)

    @property
    def bars(self) -> Iterator[dict[str, Any]]:
        """The keys handed out, as bars of a plot that is HEIGHT high."""
        most = self.most_out or 1
        width = round(self._step * 0.7, 2)
        for place, each in enumerate(self.history):
            height = round(HEIGHT * each.handed_out / most, 1)
            if height:
                x = round(self._x(place) - width / 2, 1)
                yield {"x": x, "y": HEIGHT - height, "width": width, "height": height, "day": each}

    @property
    def label(self) -> str:
        """The chart in a sentence, for those who cannot see it."""
        first, last = self.history[0], self.history[-1]
        text = f"Stock from {first.stock:,} keys on {format_date(first.day, 'j M')} to {last.stock:,} today"
        return f"{text}; {self.forecast.text}." if self.forecast else f"{text}."
