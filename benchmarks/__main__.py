"""`python -m benchmarks NAME …`: each program as a whole process, in turn, with medians and ratios."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import checkpoints, growth, pictures, predict, startup, tables
from benchmarks.cases import CASES, compare

OTHERS: dict[str, Callable[[list[str]], None]] = {
    "startup": startup.main,
    "predict": predict.main,
    "growth": growth.main,
    "checkpoints": checkpoints.main,
    "tables": tables.main,
    "pictures": pictures.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure dltool against the scripts one would write. Without names: all that compare programs.",
        epilog=f"names: {', '.join((*CASES, *OTHERS))}. Options of one of the last {len(OTHERS)} follow its name.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(CASES))
    parser.add_argument("--pairs", type=int, default=5, help="how often each program is run (5)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a folder with mnist.npz and cifar10.npz; else generated"
    )
    parser.add_argument("--rivals", default="plain,tuned,torch", help="which scripts to compare with")
    options, rest = parser.parse_known_args()
    for name in options.names:
        if name not in CASES and name not in OTHERS:
            parser.error(f"unknown benchmark {name}; known are {', '.join((*CASES, *OTHERS))}")
    if rest and (len(options.names) != 1 or options.names[0] in CASES):
        parser.error(f"unknown option {rest[0]}")
    for name in options.names:
        if name in OTHERS:
            OTHERS[name](rest)
            continue
        with tempfile.TemporaryDirectory() as folder:
            compare(CASES[name], Path(folder), options.rivals.split(","), options.pairs, options.data)


if __name__ == "__main__":
    main()
