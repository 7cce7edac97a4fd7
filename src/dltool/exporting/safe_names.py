"""Names of inputs and outputs that the formats allow."""

import keyword
import re
from collections.abc import Iterable, Sequence


def safe_names(names: Sequence[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a name for each of `names` that is a lower-case identifier, as TensorFlow makes inputs of a function into
    its parameters. None of them is among those `taken`."""
    used = {*taken, "self"}
    found = {}
    for name in names:
        safe = re.sub(r"\W", "_", name, flags=re.ASCII).lower()
        safe = safe if safe[:1].isalpha() else f"column_{safe}"
        while safe in used or keyword.iskeyword(safe):
            safe += "_"
        used.add(safe)
        found[name] = safe
    return found
