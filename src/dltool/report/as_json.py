"""The numbers of a report, for programs: all but the pictures and the drawings."""

from dataclasses import asdict, replace
from typing import Any

from dltool.report.contents import Contents

FORMAT = 1
LAYER_KEYS = ("number", "title", "takes", "output", "parameters", "origin")


def as_json(found: Contents) -> dict[str, Any]:
    """The numbers of a report: all but the pictures and the figures."""
    outputs = [
        {
            "name": output.name,
            "kind": output.kind,
            "table": [dict(row) for row in output.table],
            "mistakes": [{**asdict(shown.mistake), "place": shown.place} for shown in output.mistakes],
            "figures": {each.name: each.description for each in output.figures},
        }
        for output in found.outputs
    ]
    layers = [asdict(replace(row, lines=())) for row in found.layers.rows]
    return {
        "format": FORMAT,
        "run": found.path,
        "status": found.status,
        "verdict": asdict(found.verdict),
        "test": {tile.name: asdict(tile.interval) for tile in found.tiles},
        "baselines": {tile.name: dict(tile.baselines) for tile in found.tiles if tile.baselines},
        "warnings": [asdict(each) for each in found.findings],
        "history": [dict(line) for line in found.lines],
        "best_epoch": found.best_epoch,
        "outputs": outputs,
        "layers": [{name: row[name] for name in LAYER_KEYS} for row in layers],
        "data": {
            "sizes": dict(found.data.sizes),
            "classes": {name: list(counts) for name, counts in found.data.classes.items()},
            "columns": [asdict(column) for column in found.data.columns],
        },
        "config": {each.place: {"value": each.value, "origin": each.origin} for each in found.settings},
        "seconds": dict(found.seconds),
        "environment": dict(found.environment),
        "missing": found.missing,
    }
