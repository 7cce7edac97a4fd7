"""The data of a run in words."""

from typing import TYPE_CHECKING

from dltool.text import shape

if TYPE_CHECKING:
    from dltool.data.facts import Facts


def inputs_and_target(facts: "Facts") -> str:
    """`inputs 28 × 28 × 1 uint8, 10 classes`, or how many columns of which types there are."""
    only = facts.only_input
    if only is not None:
        what = f"inputs {shape(only.shape)} {only.dtype}"
    else:
        kinds = [found.column.name if found.column else found.dtype for found in facts.inputs.values()]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        noun = "column" if next(iter(facts.inputs.values())).column else "input"
        what = f"{len(kinds)} {noun}{'s' * (len(kinds) > 1)} ({counts})"
    if not facts.targets:
        return f"{what}, to be restored"
    names = [f"{name}: " if len(facts.targets) > 1 else "" for name in facts.targets]
    targets = zip(names, facts.targets.values(), strict=True)
    return ", ".join([what, *(f"{name}{target.in_words}" for name, target in targets)])
