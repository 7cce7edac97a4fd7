"""Sections of a report that an evaluation adds: groups of examples, and the membership-inference audit."""

from collections.abc import Iterator, Mapping
from typing import Any

from dltool.config import losses
from dltool.config.outputs import heads_of
from dltool.config.schema import Config
from dltool.evaluation.figures.group_figures import groups_figure, membership_figure
from dltool.evaluation.findings import Assessment, Audit, GroupComparison, GroupResult
from dltool.evaluation.membership import FALSE_POSITIVES
from dltool.evaluation.significance import SURPRISING
from dltool.evaluation.slices import FEWEST_ROWS, LABELS, RATES
from dltool.evaluation.tasks import images
from dltool.report.sections import ReportSection
from dltool.report.verdict import with_interval
from dltool.report.warnings import Finding
from dltool.text import and_more, counted, number, plural

MOST_NAMES = 5
BASES = {"accuracy": "share of its most frequent class", LABELS: "accuracy of the most frequent value of each label"}
MEMORIZED = 0.55
"""Area under the curve of an attack from which on the report warns."""
BOUND = (
    "The attack compares each loss with one threshold. Others may find more: this is a lower bound on what the model "
    "reveals. It supposes that training and test examples come from the same source."
)


def group_section(found: GroupComparison, index: int, is_alone: bool) -> ReportSection:
    """Return the section on the groups of one output."""
    rows = [*found.groups, found.everything] if found.groups else []
    return ReportSection(
        f"groups-{index}",
        "Groups" if is_alone else f"Groups: {found.output}",
        list(group_sentences(found)),
        images([lambda: groups_figure(f"groups_{index}", found)], lambda _: None) if found.groups else (),
        f"Results of {counted(len(found.groups), 'group')}",
        [group_row(each) for each in rows],
        list(worse_than_base(found)),
        follows_results=True,
    )


def group_row(group: GroupResult) -> dict[str, Any]:
    cells: dict[str, Any] = {name: with_interval(each) for name, each in group.numbers.items()}
    return {"group": group.group, "rows": group.rows, **cells, **({} if group.auc is None else {"AUC": group.auc})}


def group_sentences(found: GroupComparison) -> Iterator[str]:
    if not found.were_named:
        compared = f"{counted(found.tried, 'group')} of at least {FEWEST_ROWS} examples were compared"
        clearest = f"; the {len(found.groups)} clearest are shown" if found.differing > len(found.groups) else ""
        differ = f"{found.differing or 'none'} of them {plural(found.differing, 'differs', 'differ')} significantly"
        yield f"{compared}; {differ} from the other examples, or from the base{clearest}."
    if not found.groups:
        return
    base = BASES.get(found.metric, "error of a constant of its own")
    yield (
        f"The base of a group is the {base}, and the lift is what the model adds to it. Some groups are easier than "
        f"others: the lift says more about the model than the {found.metric}. The smallest lift comes first."
    )
    if not any(each.p_worse_than_base < SURPRISING for each in found.groups):
        few = f"; it is, though not significantly, in {and_more(found.below, MOST_NAMES)}" if found.below else ""
        yield f"In no group is the model significantly worse than the base{few}."
    if found.positive:
        rates = ", ".join(RATES)
        yield (
            f"The rates ({rates}) are of {found.positive}. Which of them should be equal depends on what the "
            "predictions are for: they are no verdict."
        )
    yield "The tests are corrected for their number (Holm), and take the examples as independent of each other."


def worse_than_base(found: GroupComparison) -> Iterator[Finding]:
    for each in [each for each in found.groups if each.p_worse_than_base < SURPRISING][:MOST_NAMES]:
        value, base = each.numbers[found.metric], number(each.numbers["base"].value)
        always = f"{each.base_is}, its most frequent class," if found.metric == "accuracy" else each.base_is
        words = f"{each.group}, {counted(each.rows, 'example')}: {found.metric} is {with_interval(value)}"
        step = "Look at its errors. Give the model more examples of it, or inputs that explain it."
        title = "The model is worse than a constant in a group"
        yield Finding("group", title, f"{words}; always predicting {always} has {base}.", step)


def membership_section(found: Audit, privacy: Mapping[str, float] | None = None) -> ReportSection:
    """Return the section on the attack. `privacy` has the epsilon and delta of a private run."""
    low, high = found.auc.low or 0.0, found.auc.high or 1.0
    words = "The loss of an example does not reveal whether it was in the training split."
    if low > 0.5:
        words = "The loss of an example reveals something about whether it was in the training split."
    elif high < 0.5:
        words = "Training examples have higher losses than test examples: the two are of different kinds."
    words += f" The area under the ROC curve of the attack is {with_interval(found.auc)}; guessing has 0.5."
    share = f"{FALSE_POSITIVES:.0%}"
    share_words = f"A threshold below which {share} of the losses of test examples lie has below it"
    hits, *ends = (f"{100 * (end or 0.0):.2g} %" for end in (found.hits.value, found.hits.low, found.hits.high))
    step = "If the data is confidential, train fewer epochs or a smaller model, and share neither run nor model."
    warning = Finding("membership", "The model has memorized training examples", words, step, is_note=True)
    return ReportSection(
        "membership",
        "Membership inference",
        [words, f"{share_words} {hits} ({' to '.join(ends)}) of those of the training examples.", BOUND],
        images([lambda: membership_figure(found, privacy)], lambda _: None),
        f"{counted(found.members, 'training example')}, {counted(found.others, 'test example')}",
        [
            {"measure": "area under the ROC curve", "value": with_interval(found.auc)},
            {"measure": f"true positives at {share} false positives", "value": with_interval(found.hits)},
        ],
        [warning] if low > MEMORIZED else [],
        follows_results=True,
    )


def evaluation_sections(
    config: Config, found: Assessment | None, privacy: Mapping[str, float]
) -> Iterator[ReportSection]:
    """Yield the sections on an evaluation. `privacy` has the epsilon and delta of a private run, else nothing."""
    if found is None:
        return
    options = config.training.privacy
    # Who knows the noise is not held by the bound.
    is_bound = options is not None and options.is_secret and {"epsilon", "delta"} <= privacy.keys()
    for index, each in enumerate(found.groups, 1):
        yield group_section(each, index, len(found.groups) == 1)
    if found.audit is not None:
        yield membership_section(found.audit, privacy if is_bound else None)
    elif names := [head.loss.name for head in heads_of(config) if losses.family_of(head.loss) is losses.OVERLAP]:
        words = f"There is no audit: {names[0]} has one loss for all examples together"
        words += ". With its argument axis, [1, 2, 3] for images, each example has its own."
        yield ReportSection("membership", "Membership inference", [words], (), "", (), follows_results=True)
