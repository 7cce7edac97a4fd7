"""`python -m benchmarks NAME …`: each program as a whole process, in turn, with medians and ratios."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    checkpoints,
    drafts,
    explain,
    gpu,
    growth,
    images,
    predict,
    search,
    serve,
    shards,
    startup,
    tables,
    workers,
)
from benchmarks.cases import CASES, RIVALS, compare

OTHERS: dict[str, Callable[[list[str]], None]] = {
    "startup": startup.main,
    "predict": predict.main,
    "growth": growth.main,
    "checkpoints": checkpoints.main,
    "tables": tables.main,
    "images": images.main,
    "drafts": drafts.main,
    "search": search.main,
    "explain": explain.main,
    "serve": serve.main,
    "shards": shards.main,
    "workers": workers.main,
    "gpu": gpu.main,
}


def main(arguments: list[str]) -> None:
    if arguments and arguments[0] in OTHERS:
        OTHERS[arguments[0]](arguments[1:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure dltool against the scripts one would write. Without names: all that compare programs.",
        epilog=f"names: {', '.join(CASES)}; or one of {', '.join(OTHERS)}, each with options of its own: NAME --help",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(CASES))
    parser.add_argument("--pairs", type=int, default=5, help="how often each program is run (5)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a folder with mnist.npz and cifar10.npz; else generated"
    )
    parser.add_argument(
        "--rivals", default=",".join(RIVALS), help=f"which scripts to compare with ({','.join(RIVALS)})"
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name in OTHERS:
            parser.error(f"{name} has options of its own: it comes first, and alone")
        if name not in CASES:
            parser.error(f"unknown benchmark {name}; known are {', '.join((*CASES, *OTHERS))}")
    rivals = options.rivals.split(",")
    for rival in set(rivals) - set(RIVALS):
        parser.error(f"unknown rival {rival}; known are {', '.join(RIVALS)}")
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            compare(CASES[name], Path(folder), rivals, options.pairs, options.data)


if __name__ == "__main__":
    main(sys.argv[1:])
