"""Calendar arithmetic on integers: seconds since 1970-01-01T00:00 → year, month, day, …

Every function takes int64 numbers of any shape, NumPy arrays or tensors, and uses operators alone, so the same code
runs on arrays and inside a compiled model. Years are those of the proleptic Gregorian calendar (ISO 8601); there are no
time zones.

Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days` and `weekday_from_days`."""

from collections.abc import Callable, Mapping
from typing import Any

SECONDS_A_DAY = 86_400
DAYS_IN_400_YEARS = 146_097
# From 0000-03-01, the start of Hinnant's years, and from 0001-01-01 to 1970-01-01.
DAYS_FROM_MARCH_0000 = 719_468
DAYS_FROM_JANUARY_0001 = 719_162


def year_and_day_from_march(seconds: Any) -> tuple[Any, Any]:
    """Return Hinnant's year, which begins on 1 March and so ends with the leap day, and the day in it, from 0."""
    since = seconds // SECONDS_A_DAY + DAYS_FROM_MARCH_0000
    era = since // DAYS_IN_400_YEARS
    day_of_era = since % DAYS_IN_400_YEARS
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    first_day = 365 * year_of_era + year_of_era // 4 - year_of_era // 100
    return year_of_era + 400 * era, day_of_era - first_day


def month_from_march(day: Any) -> Any:
    """Return 0 for March … 11 for February, of the days since 1 March."""
    return (5 * day + 2) // 153


def year(seconds: Any) -> Any:
    """Return the year; 1 BC is 0."""
    year_from_march, day_from_march = year_and_day_from_march(seconds)
    return year_from_march + month_from_march(day_from_march) // 10


def month(seconds: Any) -> Any:
    """Return 1…12."""
    _, day_from_march = year_and_day_from_march(seconds)
    return (month_from_march(day_from_march) + 2) % 12 + 1


def day(seconds: Any) -> Any:
    """Return 1…31."""
    _, day_from_march = year_and_day_from_march(seconds)
    return day_from_march - (153 * month_from_march(day_from_march) + 2) // 5 + 1


def day_of_year(seconds: Any) -> Any:
    """Return 1…366."""
    before = year(seconds) - 1
    new_year = 365 * before + before // 4 - before // 100 + before // 400
    return seconds // SECONDS_A_DAY + DAYS_FROM_JANUARY_0001 - new_year + 1


def elapsed(seconds: Any) -> Any:
    """Return days since 1970-01-01 with their fraction: float64 for int64 arrays and TensorFlow tensors. Call it inside
    a layer: Keras's symbolic tensors would give float32, which is minutes off."""
    # TensorFlow's graphs divide by a constant by multiplying, which rounds differently: so does this, everywhere. The
    # first division only makes floats of integers.
    return seconds / 1 * (1 / SECONDS_A_DAY)


DATE_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "year": year,
    "month": month,
    "day": day,
    "weekday": lambda seconds: (seconds // SECONDS_A_DAY + 3) % 7,
    "day_of_year": day_of_year,
    "hour": lambda seconds: seconds % SECONDS_A_DAY // 3600,
    "minute": lambda seconds: seconds % 3600 // 60,
    "second": lambda seconds: seconds % 60,
    "elapsed": elapsed,
}
"""The function of each date part that a config may name; weekday 0 is Monday."""
