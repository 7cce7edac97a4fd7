"""The membership-inference audit against scikit-learn, against simulations, and against what privacy allows."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from dltool.config.schema import Config
from dltool.evaluation.bootstrap import Interval
from dltool.evaluation.figures.group_figures import membership_figure
from dltool.evaluation.findings import Assessment, Audit
from dltool.evaluation.membership import audit, privacy_bound
from dltool.report.evaluation_sections import evaluation_sections, membership_section


def losses(members: int, others: int, memorized: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Losses of members and of others, of which the members' are lower by a share that was `memorized`."""
    random = np.random.default_rng(seed)
    inside = random.exponential(1, members) * np.where(random.random(members) < memorized, 1e-4, 1)
    return inside.astype(np.float32), random.exponential(1, others).astype(np.float32)


def attacked(inside: np.ndarray, outside: np.ndarray) -> Audit:
    found = audit(inside, outside, 0)
    assert found is not None
    return found


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


@pytest.mark.proof
@pytest.mark.parametrize(("members", "others"), [(300, 200), (3000, 5000)])
def test_the_area_is_that_of_scikit_learn_and_the_hits_are_counted(members: int, others: int) -> None:
    inside, outside = losses(members, others, 0.1)
    # Some losses are equal.
    inside, outside = np.round(inside, 2), np.round(outside, 2)
    found = attacked(inside, outside)
    truth, scores = np.repeat([1, 0], [members, others]), -np.concatenate([inside, outside])
    assert found.auc.value == pytest.approx(roc_auc_score(truth, scores))
    allowed = [each for each in np.unique([*inside, *outside]) if np.mean(outside <= each) <= 0.01]
    assert found.hits.value == pytest.approx(np.mean(inside <= max(allowed, default=-1.0)))
    for interval in (found.auc, found.hits):
        low, high = ends(interval)
        assert low <= interval.value <= high
    assert [found.true[-1], found.false[-1]] == pytest.approx([1, 1])
    assert len(found.true) <= 125


@pytest.mark.slow
def test_intervals_cover_guessing_where_nothing_can_be_known() -> None:
    areas = [attacked(*losses(200, 150, seed=seed)).auc for seed in range(40)]
    assert sum(ends(each)[0] <= 0.5 <= ends(each)[1] for each in areas) >= 33
    spread = np.std([each.value for each in areas])
    widths = [ends(each)[1] - ends(each)[0] for each in areas]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * spread, rel=0.35)


def test_the_few_who_are_exposed_are_seen() -> None:
    """One in twenty is memorized: hardly a trace in the area, and five times the guesses among the hits."""
    found = attacked(*losses(10_000, 10_000, 0.05))
    assert found.auc.value < 0.55
    assert ends(found.hits)[0] > 0.04


def test_the_report_says_what_the_attack_found() -> None:
    section = membership_section(attacked(*losses(500, 500, seed=2)))
    assert section.paragraphs[0].startswith("The loss of an example does not reveal whether it was in")
    assert "lower bound" in section.paragraphs[-1]
    assert not section.findings
    section = membership_section(attacked(*losses(500, 500, 0.5)))
    assert section.paragraphs[0].startswith("The loss of an example reveals something")
    assert [each.title for each in section.findings] == ["The model has memorized training examples"]


def test_the_figure_has_the_bound_of_a_private_run() -> None:
    found = attacked(*losses(500, 500))
    assert "bound of privacy" not in membership_figure(found).svg
    assert "bound of privacy" in membership_figure(found, {"epsilon": 1.0, "delta": 1e-5}).svg
    false = np.array([0.0, 0.01, 0.9])
    assert privacy_bound(false, {"epsilon": 1.0, "delta": 1e-5}).tolist() == pytest.approx(
        [1e-5, 0.01 * np.e + 1e-5, 1.0]
    )


def test_losses_that_are_no_numbers_are_not_audited() -> None:
    inside, outside = losses(100, 100)
    assert audit(inside, np.full(100, np.nan), 0) is None
    assert audit(inside[:1], outside, 0) is None


@pytest.mark.parametrize(("loss", "words"), [("dice", ["dice has one loss for all examples"]), ("hinge", [])])
def test_the_report_says_why_a_loss_of_all_examples_together_is_not_audited(loss: str, words: list[str]) -> None:
    training = {"optimizer": "sgd", "loss": loss, "epochs": 1}
    config = Config.model_validate(
        {"name": "x", "data": {"source": "digits"}, "model": {"layers": [{"Dense": 1}]}, "training": training}
    )
    found = Assessment("test", 10, {}, (), (), (), None)
    sections = list(evaluation_sections(config, found, {}))
    assert [each.name for each in sections] == ["membership"] * len(words)
    assert all(word in section.paragraphs[0] for word, section in zip(words, sections, strict=True))
