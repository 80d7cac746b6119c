"""Sweeps as the runner drives them: real processes, made-up races (``fake_sweep``)."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssam.experiment import RaceSpec, parse_spec
from ssam.experiment.choosing import VALIDATION
from ssam.experiment.sweep import SweepSpec, parse_sweep
from ssam.jobs.optuna_search import Search
from ssam.jobs.sweep_client import MOST_AT_ONCE
from ssam.store import Person, Trial
from ssam.store.sweep_scores import chosen, fresh, front, points, ranked
from ssam.store.sweeps import STANDARD, tag
from ssam.store.views import ENDED
from tests.fake_runner import SWEPT, TORCH, SweepLab
from tests.fake_sweep import BEST
from tests.golden import assert_one_line_error
from tests.patience import wait_until

ADA, BOB = Person("ada"), Person("bob")
ENDLESS = parse_spec({"lanes": "sam", "epochs": 1000, "rho": 0.3})
RHOS = "0.2,0.25,0.15,0.3,0.22,0.001,0.002,4,3.9"  # the best first, the second best after four, then the hopeless


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SweepLab]:
    site = SweepLab(tmp_path_factory.mktemp("sweeps"))
    try:
        site.start_runner(**TORCH)
        yield site
    finally:
        site.close()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[SweepLab]:
    """One whose runner the test starts and kills itself."""
    site = SweepLab(tmp_path)
    try:
        yield site
    finally:
        site.close()


def test_a_grid_races_every_combination_once_as_ordinary_races_of_its_owner(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["rho=0.05,0.2,0.8", "sparsity=0.5,0.8"])
    ended = lab.wait_over(sweep_id)
    assert [trial.values for trial in ended] == lab.look(sweep_id).spec.points
    assert {trial.state for trial in ended} == {"done"}
    for trial in ended:
        run = lab.run(str(trial.run))
        assert (run.owner, run.state, run.spec.rho, run.spec.sparsity) == ("ada", "finished", *trial.values.values())
        assert run.spec.validation == VALIDATION
        assert run.result is not None
        assert trial.score == run.result["lanes"][0]["validation_accuracy"]
        assert trial.test == run.result["lanes"][0]["test_accuracy"]
        assert lab.store.runs.labels(run.id).tags == (tag(sweep_id),)
    best = ranked(lab.look(sweep_id).spec, ended)[0]
    assert best.values["rho"] == 0.2
    importance = lab.look(sweep_id).importance
    assert importance["rho"] > importance["sparsity"]


@pytest.mark.slow
def test_a_search_goes_where_it_is_good(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["rho=0.01..4:log"], method="tpe", races=24)
    ended = lab.wait_over(sweep_id)
    assert len(ended) == 24
    rhos = [float(trial.values["rho"]) for trial in ended]
    assert len(set(rhos)) == 24
    early, late = (sum(abs(rho - BEST) < 0.15 for rho in part) for part in (rhos[:12], rhos[12:]))
    assert late > early
    assert all(0.01 <= rho <= 4 and rho == float(f"{rho:.4g}") for rho in rhos)


def test_every_setting_gets_all_its_seeds(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["rho=0.1,0.2"], seeds=3)
    ended = lab.wait_over(sweep_id)
    assert [(trial.number, trial.seed) for trial in ended] == [
        (number, seed) for number in (0, 1) for seed in (0, 1, 2)
    ]
    first = points(lab.look(sweep_id).spec, ended)[0]
    assert first.score == pytest.approx(sum(trial.score or 0 for trial in ended[:3]) / 3)
    assert first.spread
    assert first.spread > 0


def test_pruning_stops_the_hopeless_and_lets_the_best_finish(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=[f"rho={RHOS}"], pruning="median", base=SWEPT.model_copy(update={"epochs": 10}))
    ended = lab.wait_over(sweep_id)
    states = {trial.values["rho"]: trial.state for trial in ended}
    assert states[0.2] == "done"
    pruned = [trial for trial in ended if trial.state == "pruned"]
    assert pruned
    assert all(trial.score is not None and float(trial.values["rho"]) not in (0.2, 0.25, 0.15) for trial in pruned)
    wait_until(lambda: all(lab.run(str(trial.run)).state in ENDED for trial in pruned))
    assert {lab.run(str(trial.run)).state for trial in pruned} <= {"stopped", "finished"}
    assert all(best.state == "done" for best in ranked(lab.look(sweep_id).spec, ended))


OPPOSED = SWEPT.model_copy(
    update={"augment": "flip", "epochs": 10}
)  # the better the validation, the worse the test accuracy


def test_what_the_test_set_says_does_not_change_what_is_chosen(lab: SweepLab) -> None:
    """Test accuracy orders these settings the other way round: ranking, front and importance do not follow it."""
    sweep_id = lab.sweep(vary=["rho=0.05,0.2,0.8"], base=OPPOSED, cost="gradients")
    ended = lab.wait_over(sweep_id)
    by_test = sorted(ended, key=lambda trial: -(trial.test or 0))
    assert by_test[-1].values["rho"] == BEST
    found = lab.look(sweep_id)
    best = ranked(found.spec, ended)[0]
    assert best.values["rho"] == BEST
    assert front(points(found.spec, ended))[-1].values["rho"] == BEST
    assert best.gap == pytest.approx((best.score or 0) - (0.9 - (best.score or 0)))
    picked = chosen(found, ended)
    assert picked is not None
    assert picked.values == best.values
    lab.client.sweeps.fresh(sweep_id, ADA, 3)
    (confirmed,) = fresh(lab.wait_over(sweep_id))
    assert confirmed.values == {"rho": BEST}
    assert not confirmed.is_finding, "judged on the test set, where it is the worst"
    assert max(confirmed.scores.values()) < min(confirmed.standard.values())


def test_pruning_goes_by_validation(lab: SweepLab) -> None:
    """Those that are best on the test set are stopped, for they fall behind on the images held out."""
    ended = lab.wait_over(lab.sweep(vary=[f"rho={RHOS}"], pruning="median", base=OPPOSED))
    pruned = {float(trial.values["rho"]) for trial in ended if trial.state == "pruned"}
    assert pruned
    assert pruned <= {0.3, 0.001, 0.002, 4.0, 3.9}
    assert all(trial.score is not None and trial.test is None for trial in ended if trial.state == "pruned")


def test_a_sweep_without_images_to_choose_by_is_not_begun(lab: SweepLab) -> None:
    with pytest.raises(ValueError, match=r"validation .*above 0"):
        lab.client.sweeps.start(parse_sweep({"base": SWEPT, "vary": ["rho=0.1,0.2"]}), "unsplit", ADA)
    own = SWEPT.model_copy(update={"validation": 0.3})
    assert lab.look(lab.sweep(vary=["rho=0.1"], base=own)).spec.base.validation == 0.3


def test_a_sweep_of_an_earlier_version_goes_on_by_test_accuracy(lab: SweepLab) -> None:
    """One that an earlier version made, without a validation part, is driven, shown and confirmed as it was begun."""
    spec = parse_sweep({"base": OPPOSED, "vary": ["rho=0.05,0.2,0.8"], "pruning": "median"})
    sweep_id = lab.store.sweeps.create(spec, "of old", ADA.owner)
    ended = lab.wait_over(sweep_id)
    assert lab.look(sweep_id).spec.chooses_by == "test"
    assert all(trial.score == trial.test for trial in ended)
    assert ranked(spec, ended)[-1].values["rho"] == BEST
    assert lab.run(str(ended[0].run)).spec.validation == 0


@pytest.mark.slow
def test_hyperband_prunes_too(lab: SweepLab) -> None:
    base = SWEPT.model_copy(update={"epochs": 9})
    sweep_id = lab.sweep(vary=["rho=0.01..4:log"], method="tpe", races=16, pruning="hyperband", base=base)
    ended = lab.wait_over(sweep_id)
    assert Counter(trial.state for trial in ended).keys() == {"done", "pruned"}


def test_the_trade_off_has_a_front(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["epochs=1,2,3", "rho=0.2,0.7"], cost="gradients")
    ended = lab.wait_over(sweep_id)
    found = front(points(lab.look(sweep_id).spec, ended))
    assert [point.values["rho"] for point in found] == [0.2] * len(found)
    assert found
    costs, scores = [point.cost for point in found], [point.score for point in found]
    assert (costs, scores) == (sorted(costs), sorted(scores))


def test_what_diverges_or_is_refused_is_said_and_held_against_it(lab: SweepLab) -> None:
    base = parse_spec({"lanes": "ssam:score=fisher", "epochs": 2})
    vary = ["lane1.score=fisher,fisher-per-cost", "lane1.granularity=weight,block", "rho=0.2,9"]
    with pytest.raises(ValueError, match="ranks blocks"):
        parse_sweep({"base": base, "vary": vary})
    sweep_id = lab.sweep(base=base, vary=["rho=0.2,9"])
    done, diverged = lab.wait_over(sweep_id)
    assert (done.state, diverged.state, diverged.score) == ("done", "diverged", None)
    sweep_id = lab.sweep(base=base, vary=["batch_size=64,512", "train_size=256,4000"])
    ended = lab.wait_over(sweep_id)
    assert [trial.state for trial in ended] == ["done", "done", "refused", "done"]
    assert_one_line_error(ended[2].message, ["batch_size 512", "train_size 256"])
    assert ended[2].run is None


def test_pause_holds_its_races_and_resume_goes_on_with_them(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["rho=0.1,0.2,0.3,0.4,0.5"], base=SWEPT.model_copy(update={"epochs": 30}))
    wait_until(lambda: sum(trial.run_state == "running" for trial in lab.trials(sweep_id)) == 2)
    lab.client.sweeps.pause(sweep_id, ADA)

    def held() -> bool:
        return all(trial.run_state in ("paused", "finished", None) for trial in lab.trials(sweep_id))

    wait_until(held)
    before = lab.trials(sweep_id)
    time.sleep(0.6)
    assert held()
    assert len(lab.trials(sweep_id)) == len(before)
    lab.client.sweeps.resume(sweep_id, ADA)
    ended = lab.wait_over(sweep_id)
    assert [trial.state for trial in ended] == ["done"] * 5
    assert {trial.run for trial in before if trial.run} <= {trial.run for trial in ended}


def test_stop_ends_its_races_and_extend_takes_up_what_was_left(lab: SweepLab) -> None:
    base = SWEPT.model_copy(update={"epochs": 30})
    sweep_id = lab.sweep(vary=["rho=0.1..0.6:6"], races=4, base=base)
    wait_until(lambda: lab.ended(sweep_id) >= 1)
    lab.client.sweeps.stop(sweep_id, ADA)
    left = lab.wait_over(sweep_id)
    assert {trial.state for trial in left} <= {"done"}
    assert len(left) < 4
    wait_until(lambda: not [job for job in lab.store.queue.jobs() if job.sweep == sweep_id])
    lab.client.sweeps.extend(sweep_id, ADA, races=2)
    ended = lab.wait_over(sweep_id)
    assert sorted(float(trial.values["rho"]) for trial in ended) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert {trial.state for trial in ended} == {"done"}, "a race that was stopped goes on"
    assert all(lab.run(str(trial.run)).spec.rho == trial.values["rho"] for trial in ended)
    assert lab.look(sweep_id).state == "finished"
    with pytest.raises(ValueError, match=r"^.*all combinations.*$"):
        lab.client.sweeps.extend(sweep_id, ADA, races=5)
    with pytest.raises(ValueError, match=r"^.*minutes; .*races$"):
        lab.client.sweeps.extend(sweep_id, ADA, minutes=5)


def test_a_budget_of_gradients_ends_it(lab: SweepLab) -> None:
    one = 2 * 4 * 10  # of a race: two passes a step
    sweep_id = lab.sweep(vary=["rho=0.01..4:log"], method="tpe", gradients=3 * one)
    ended = lab.wait_over(sweep_id)
    assert 3 <= len(ended) <= 3 + 4  # those that were under way or queued come to their end
    assert lab.store.sweeps.spent(sweep_id).gradients == len(ended) * one


def test_the_best_is_run_again_with_fresh_seeds_before_it_is_a_finding(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["rho=0.05,0.1,0.19"], seeds=2)
    lab.wait_over(sweep_id)
    assert not fresh(lab.trials(sweep_id))
    lab.client.sweeps.fresh(sweep_id, ADA, 4)
    ended = lab.wait_over(sweep_id)
    (found,) = fresh(ended)
    assert found.values == {"rho": 0.19}
    assert sorted(found.scores) == sorted(found.standard) == [2, 3, 4, 5]  # 0 and 1 were searched with
    assert {lab.run(str(trial.run)).spec.rho for trial in ended if trial.number == STANDARD} == {SWEPT.rho}
    assert found.is_finding
    assert found.selected == ranked(lab.look(sweep_id).spec, ended)[0].score  # the search is as it was
    lab.client.sweeps.fresh(sweep_id, ADA, 4)  # asked twice, run once
    assert len(lab.wait_over(sweep_id)) == len(ended)


def test_races_that_somebody_waits_for_go_first(lab: SweepLab) -> None:
    base = SWEPT.model_copy(update={"epochs": 30})
    sweep_id = lab.sweep(vary=["rho=0.1..0.6:6"], base=base)
    wait_until(lambda: sum(trial.run_state == "running" for trial in lab.trials(sweep_id)) == 2)
    wait_until(lambda: any(trial.run_state == "queued" for trial in lab.trials(sweep_id)))
    own = lab.client.races.submit(base.model_copy(update={"rho": 0.9}), "mine", ADA).run_id
    other = lab.client.races.submit(base.model_copy(update={"rho": 0.95}), "theirs", BOB).run_id
    assert {lab.client.races.forecast(own).position, lab.client.races.forecast(other).position} == {1, 2}  # type: ignore[union-attr]
    started = {run_id: lab.wait_state(run_id, "running", "finished").started for run_id in (own, other)}
    waited = [trial for trial in lab.wait_over(sweep_id) if trial.number > 3]
    assert all(float(trial.started or 0) > max(map(float, started.values())) for trial in waited)  # type: ignore[arg-type]


def test_only_its_owner_steers_it_and_a_few_at_once(lab: SweepLab) -> None:
    sweep_id = lab.sweep(vary=["rho=0.1,0.2"], base=ENDLESS)
    for steer in (lab.client.sweeps.pause, lab.client.sweeps.stop, lab.client.sweeps.delete):
        with pytest.raises(PermissionError, match=r"^.*someone else$"):
            steer(sweep_id, BOB)
    with pytest.raises(ValueError, match="still running"):
        lab.client.sweeps.delete(sweep_id, ADA)
    others = [lab.sweep(vary=["rho=0.1,0.2"], base=ENDLESS) for _ in range(MOST_AT_ONCE - 1)]
    with pytest.raises(ValueError, match=r"^.*3 unfinished sweeps .*3; stop .*$"):
        lab.sweep(vary=["rho=0.1"], base=ENDLESS)
    for each in (sweep_id, *others):
        lab.client.sweeps.stop(each, Person("somebody", teacher=True))
        lab.wait_over(each)
    lab.client.sweeps.delete(sweep_id, ADA)
    assert lab.store.sweeps.get(sweep_id) is None


@pytest.mark.slow
def test_a_restart_in_the_middle_loses_nothing_and_repeats_nothing(own_lab: SweepLab) -> None:
    """The runner is killed twice in the middle of a search; the races live on, and so does the sweep."""
    lab = own_lab
    runner = lab.start_runner(**TORCH)
    spec = {"vary": ["rho=0.01..4:log"], "method": "tpe", "races": 14, "base": SWEPT.model_copy(update={"epochs": 10})}
    sweep_id = lab.sweep(**spec)
    for until in (3, 7):
        wait_until(lambda until=until: lab.ended(sweep_id) >= until)  # type: ignore[misc]
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        before = {(trial.number, str(trial.values)): trial.run for trial in lab.trials(sweep_id)}
        runner = lab.start_runner(**TORCH)
        after = {(trial.number, str(trial.values)): trial.run for trial in lab.trials(sweep_id)}
        assert before.keys() <= after.keys()
    ended = lab.wait_over(sweep_id)
    assert [trial.number for trial in ended] == list(range(14))
    assert {trial.state for trial in ended} == {"done"}
    own = lab.store.runs.newest(limit=100)
    assert len(own) == 14  # every trial has one race and every race is a trial
    assert {run.id for run in own} == {trial.run for trial in ended}


def test_the_median_counts_races_that_ended_between_two_looks() -> None:
    """The best race was seen while it ran, three more only when they had ended: the second best is above their median."""
    spec = parse_sweep({"base": SWEPT.model_copy(update={"epochs": 10}), "vary": [f"rho={RHOS}"], "pruning": "median"})
    ends = [0.80, 0.74, 0.73, 0.72, 0.79, 0.60]
    search = Search(spec, [], lambda point: rising(ends[point.number]))
    for number, end in enumerate(ends):
        values = search.ask(number)
        assert values is not None
        if number in (0, 4, 5):
            assert search.falls_behind(number, rising(end)) is (number == 5)
        if number < 4:
            (point,) = points(spec, [Trial(number, 0, values, state="done", score=end)])
            search.tell(point)


def rising(end: float) -> list[tuple[int, float]]:
    return [(epoch, end - 0.1 * (1 - epoch / 10)) for epoch in range(1, 11)]


def same_search(spec: SweepSpec, told: int) -> None:
    """Two searches, one of which has been told bit by bit and one all at once, ask the same."""
    one, known = Search(spec, [], lambda point: []), []
    for number in range(told):
        values = one.ask(number)
        assert values is not None
        trial = Trial(number, 0, values, state="done", score=0.5 + 0.01 * number, cost=float(number % 3))
        (point,) = points(spec, [trial])
        one.tell(point)
        known.append(point)
    two = Search(spec, known, lambda point: [])
    assert one.ask(told) == two.ask(told)


@pytest.mark.parametrize("cost", [None, "gradients"])
@pytest.mark.parametrize("told", [0, 5, 15])
def test_a_search_made_anew_asks_what_the_old_one_would_have_asked(cost: str | None, told: int) -> None:
    vary = ["rho=0.01..4:log", "sparsity=0.5,0.8,0.9", "epochs=1..9"]
    spec = parse_sweep({"base": RaceSpec(lanes="ssam-f"), "vary": vary, "method": "tpe", "races": 99, "cost": cost})  # type: ignore[arg-type]
    same_search(spec, told)
