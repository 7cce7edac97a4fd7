"""What the report says of a private training: what it spent, what is private, and what the guarantee does not cover."""

from collections.abc import Iterator, Mapping

from dltool.accountant import Spending
from dltool.config.privacy_checks import uncovered
from dltool.config.schema import Config
from dltool.report.sections import ReportSection
from dltool.report.warnings import Finding

RUN_DIRECTORY = (
    "model.keras is private, and this run directory is not: this report, the predictions, the evaluations and the "
    "metrics of each epoch show the examples, or were measured on them without noise. Publish the model alone."
)
NO_MODEL = "This run has no model of its own. Its directory is not private: publish nothing of it."
NOT_PRIVATE = "Nothing of it is private: privacy.seed gives the noise away."
LIMITS = (
    "A unit is a row: a person with several rows is protected less. The noise is drawn in floating point from a "
    "generator that is not cryptographic."
)


def privacy_section(config: Config, spent: Mapping[str, float]) -> Iterator[ReportSection]:
    """Yield the section of a complete private training."""
    if not {"epsilon", "clip", *Spending.__annotations__} <= spent.keys():
        return
    words = Spending(spent["rate"], spent["noise"], int(spent["steps"]), spent["delta"]).words
    times = f"e^{spent['epsilon']:.3g} times"
    bound = f"With and without any one example, the probability of each possible model differs by at most {times}"
    paragraphs = [
        f"The training spent {words}.",
        f"{bound}, but for a probability of {spent['delta']:g}. Gradients were clipped to a norm of {spent['clip']:g}.",
        NO_MODEL if config.data.final == "none" else RUN_DIRECTORY,
        LIMITS,
    ]
    if config.training.privacy is not None and not config.training.privacy.is_secret:
        paragraphs = [f"With a secret key, the training would have spent {words}. {NOT_PRIVATE}"]
    yield ReportSection("privacy", "Privacy", paragraphs, [], "", [], [*findings(config)])


def findings(config: Config) -> Iterator[Finding]:
    for text, step in uncovered(config):
        words, next_step = (f"{each[:1].upper()}{each[1:]}." for each in (text, step))
        yield Finding("privacy", "The guarantee does not cover everything", words, next_step)
    for layer in config.model.layers:
        if layer.name == "ReLU" or getattr(layer.arguments.get("activation"), "name", "") == "relu":
            words = (
                "Clipped gradients and noise let the outputs of relu grow; with tanh, private models are often better."
            )
            yield Finding("privacy", "relu in private training", words, "Write activation: tanh.", is_note=True)
            return
