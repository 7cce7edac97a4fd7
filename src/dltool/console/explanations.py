"""What `dltool explain` prints."""

import shlex
from typing import TYPE_CHECKING

from rich.text import Text

from dltool.console.consoles import StreamConsole, data_text

if TYPE_CHECKING:
    from dltool.commands.explain import ExplanationOutcome


def show_explanation(outcome: "ExplanationOutcome", console: StreamConsole) -> None:
    """Print the sentences and proofs of each method, and where figures and attributions are."""
    for found in outcome.found:
        console.print(Text(f"{found.method}  ", "bold") + data_text(found.about))
        for sentence in found.sentences:
            console.print(data_text(sentence))
        for proof in found.proofs:
            console.print(
                Text("proof  " if proof.holds else "fails  ", "dim" if proof.holds else "red")
                + data_text(proof.sentence)
            )
    if outcome.page is not None:
        console.print(Text("page  ", "bold") + data_text(outcome.page))
    if not outcome.warning:
        console.print(Text("in    ", "bold") + data_text(outcome.folder))
        # The report shows no explanations of new data.
        if not outcome.folder.name.startswith("data-"):
            console.next_step(f"dltool report {shlex.quote(str(outcome.run))}")
