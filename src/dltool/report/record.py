"""What a run says of itself in its files, of which nothing is trusted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dltool.runs.files import Run

LONGEST = 300
LARGEST = 1e300
MOST_EPOCHS = 10_000
MOST_NUMBERS = 100
MOST_VALUES = 5_000
"""Of a config. A hostile run may name any number."""


@dataclass(frozen=True)
class Record:
    """The contents of run.json and results.json, the lines of metrics.jsonl, and where config values were decided.

    `results` are empty before the run is complete; `origins`, by place in the config, where they were not kept.
    """

    path: str
    name: str
    number: str
    run: Mapping[str, Any]
    results: Mapping[str, Any]
    lines: tuple[Mapping[str, Any], ...]
    origins: Mapping[str, str]
    config_text: str

    @property
    def best_epoch(self) -> int | None:
        """Counted from 1."""
        epoch = mapping(self.results.get("best")).get("epoch")
        return epoch if isinstance(epoch, int) and 0 < epoch <= len(self.lines) else None

    @property
    def test(self) -> dict[str, float]:
        return numbers(self.results.get("test"))

    @property
    def seconds(self) -> dict[str, float]:
        return numbers(self.results.get("seconds"))


def read_record(run: Run) -> Record:
    """Raises RunError where a file is damaged; results.json and origins.json need not be there."""
    return Record(
        str(run.path),
        run.name,
        run.number,
        run.read_json(run.record),
        run.read_json(run.results) if run.results.exists() else {},
        tuple(run.read_metrics()[:MOST_EPOCHS]),
        dict(texts(run.read_json(run.origins))) if run.origins.exists() else {},
        run.read(run.config).decode("utf-8", "replace") if run.config.exists() else "",
    )


def texts(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for place, origin in list(found.items())[:MOST_VALUES]:
        if isinstance(origin, str):
            yield place[:LONGEST], origin[:LONGEST]


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def numbers(value: Any) -> dict[str, float]:
    """The entries of a mapping that are numbers of a size that can be written out."""
    return {
        name[:LONGEST]: number
        for name, number in list(mapping(value).items())[:MOST_NUMBERS]
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < LARGEST
    }


def words(value: Any) -> str:
    """A value of a record in one short line; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(words(item) for item in value[:50])[:LONGEST]
    if isinstance(value, Mapping):
        parts = (f"{name} {words(item) or 'none'}" for name, item in list(value.items())[:50])
        return ", ".join(parts)[:LONGEST]
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (f"{value:,}" if isinstance(value, int) and value > 9999 else str(value))[:LONGEST]
