"""The times of the rows of time series, the usual step between them, and what breaks it: seconds, business days, or
months."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dltool.data.arrays.rows import Coded
from dltool.data.dates import SECONDS_A_DAY

REGULAR = 0.9
"""If more than this share of the steps between rows are equal, another step is a gap."""
UNITS = ((SECONDS_A_DAY, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
PARTS_OF_TIME = ("year", "month", "day", "hour", "minute", "second")
MOST_OF_PARTS = (9999, 12, 31, 24, 59, 60)
CLOCK = re.compile(r"(\d{1,2})[:.](\d\d)(?:[:.](\d\d))?(?: ?([AaPp])[Mm])?", re.ASCII)
OTHER_NAMES = {"hr": "hour"}
CALENDAR = {3: (1, "quarter"), 12: (1, "year")}
BUSINESS_DAYS, MOST_HOLIDAYS = 5, 4
"""Business days of a week, and how many of them in a row may be missing: rows of trading days have none on holidays."""


@dataclass(frozen=True)
class Step:
    """A step of `size` units: "second", "business day", "month", or "" for numbers that are no dates."""

    size: float
    unit: str

    @property
    def name(self) -> str:
        """Return "1 hour", "3 days", "1 quarter", or the number."""
        if not self.unit:
            return f"{self.size:g}"
        size, unit = int(self.size), self.unit
        if unit == "month":
            size, unit = CALENDAR.get(size, (size, unit))
        elif unit == "second":
            seconds, unit = next(each for each in UNITS if size % each[0] == 0)
            size //= seconds
        return f"{size:,} {unit}{'s' if size != 1 else ''}"

    @property
    def season(self) -> int | None:
        """Return the steps after which values usually repeat: those of a day, or of a week for days, or of a year for
        weeks and months."""
        size = int(self.size)
        if self.unit == "business day":
            return BUSINESS_DAYS
        if self.unit == "month":
            return 12 // size if size < 12 and 12 % size == 0 else None
        if self.unit != "second":
            return None
        of_days = {SECONDS_A_DAY: 7, 7 * SECONDS_A_DAY: 52}
        return of_days.get(size, SECONDS_A_DAY // size if size < SECONDS_A_DAY and SECONDS_A_DAY % size == 0 else None)


def clock_of(texts: Coded) -> np.ndarray | None:
    """Return (rows,) of int64 seconds since midnight of texts such as 18:30, 18.00.00 or 6:30 PM; None if there are
    others."""
    matches = [CLOCK.fullmatch(str(text)) for text in texts.values]
    found = [match for match in matches if match is not None]
    if not found or len(found) < len(matches):
        return None
    hours = [int(match[1]) % 12 + 12 * (match[4] in "Pp") if match[4] else int(match[1]) for match in found]
    seconds = [3_600 * hour + 60 * int(match[2]) + int(match[3] or 0) for hour, match in zip(hours, found, strict=True)]
    return np.asarray(np.array(seconds, np.int64)[texts.codes[:]])


def moments_of(columns: Mapping[str, np.ndarray | Coded]) -> np.ndarray | None:
    """Return (rows,) of int64 seconds that several `columns` (rows,) say together: a date (int64 seconds) and a time of
    day as text or its parts, or a year, a month and so on, of integers. Parts go by their names, in any case, from the
    largest on without a gap. None if they are no time."""
    clocks = [clock_of(values) for values in columns.values() if isinstance(values, Coded)]
    numbers = {name.lower(): values for name, values in columns.items() if isinstance(values, np.ndarray)}
    parts = {OTHER_NAMES.get(name, name): values for name, values in numbers.items()}
    days = [parts.pop(name) for name, values in [*parts.items()] if values.dtype == np.int64]
    if clocks:
        is_time = len(clocks) == len(days) == 1 and not parts
        return None if clocks[0] is None or not is_time else np.asarray(days[0] + clocks[0])
    first = PARTS_OF_TIME.index("hour") if days else 0
    names = PARTS_OF_TIME[first : first + len(parts)]
    if len(days) > 1 or {*names} != {*parts} or len(days) + len(parts) < len(columns) or len(columns) < 2:
        return None
    for name, most in zip(names, MOST_OF_PARTS[first:], strict=False):
        values, least = parts[name], int(name in PARTS_OF_TIME[:3])
        if not ((values >= least) & (values <= most) & (values == np.round(values))).all():
            return None
    whole = [parts[name].astype(np.int64) for name in names]
    if days:
        (seconds,), clock = days, whole
    else:
        year, month, day, *clock = [*whole, *[np.ones_like(whole[0])] * (3 - len(whole))]
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        seconds = (months.astype("datetime64[D]") + (day - 1)).astype("datetime64[s]").astype(np.int64)
    for part, unit in zip(clock, (3_600, 60, 1), strict=False):
        seconds = seconds + unit * part
    return np.asarray(seconds)


def steps_of(moments: np.ndarray, is_new_series: np.ndarray) -> tuple[Step | None, np.ndarray]:
    """Return the usual step of series, None if they have none, and a mask (rows - 1,) of gaps between their rows.

    `moments` (rows,) ascend in each series: int64 seconds, or other numbers. `is_new_series` (rows - 1,) marks the
    steps from one series to the next. Days, months, quarters and years are steps of the calendar. A business day is a
    weekday, and only more than `MOST_HOLIDAYS` missing ones are a gap."""
    inside = ~is_new_series
    none = np.zeros(len(is_new_series), dtype=bool)
    for unit, counts in calendars(moments) if inside.any() else ():
        steps = np.diff(counts)
        # The usual step makes up more than half, so it is the median.
        usual = np.sort(steps[inside])[inside.sum() // 2]
        differs = (np.abs(steps - usual) > 1e-3 * usual) & inside
        if usual > 0 and differs.sum() < (1 - REGULAR) * inside.sum():
            gaps = inside & (steps > MOST_HOLIDAYS + 1) if unit == "business day" else differs
            return Step(float(usual), unit), gaps
    return None, none


def calendars(moments: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the units in which steps may be equal, with the moments counted in each."""
    if moments.dtype != np.int64:
        yield "", moments.astype(np.float64 if moments.dtype.kind == "f" else np.int64)
        return
    yield "second", moments
    # Day 0 was a Thursday.
    weeks, weekdays = np.divmod(moments // SECONDS_A_DAY + 3, 7)
    if (weekdays < BUSINESS_DAYS).all() and len(np.unique(moments % SECONDS_A_DAY)) == 1:
        yield "business day", weeks * BUSINESS_DAYS + weekdays
    yield "month", moments.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
