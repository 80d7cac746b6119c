"""The duel: what it asks for, how the runner plays it, what comes of it, and its command. Real processes, made-up races."""

import csv
import io
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ssam import cli
from ssam.experiment import LaneSpec, RaceSpec, parse_spec
from ssam.experiment.choosing import VALIDATION
from ssam.experiment.duel import DuelSpec, new_duel, parse_duel
from ssam.export import duel as export
from ssam.planning.estimate import default_rate as rate
from ssam.planning.estimate import duel_seconds, estimate_seconds
from ssam.store import Person, Store, backup
from ssam.store.duels import Duel, Standing
from tests import fake_duel
from tests.fake_duel import fill, look
from tests.fake_runner import TORCH, SweepLab
from tests.golden import assert_one_line_error
from tests.patience import wait_until

ADA, BOB, TEACHER = Person("ada"), Person("bob"), Person("grace", teacher=True)
LONG = fake_duel.spec(trials=2, epochs=40)
OPPOSED = {"augment": "flip"}  # of made-up races: the better the validation, the worse the test accuracy


class DuelLab(SweepLab):
    def duel(self, spec: DuelSpec, request: str, person: Person = ADA) -> str:
        return self.client.duels.start(spec, request, person)

    def wait_duel(self, duel_id: str, *states: str) -> Duel:
        wait_until(lambda: look(self.store, duel_id).state in (states or ("finished", "stopped")))
        return look(self.store, duel_id)

    def standings(self, duel_id: str) -> list[Standing]:
        return self.store.duels.standings(look(self.store, duel_id))

    def searched(self, duel_id: str) -> int:
        return sum(each.searched for each in self.standings(duel_id))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuelLab]:
    site = DuelLab(tmp_path_factory.mktemp("duels"))
    try:
        site.start_runner(**TORCH)
        yield site
    finally:
        site.close()


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[DuelLab]:
    site = DuelLab(tmp_path)
    try:
        yield site
    finally:
        site.close()


# What is asked for


def test_each_method_gets_the_same_trials_and_most_epochs() -> None:
    spec = fake_duel.spec(("sgd", "sam", "ssam-f"), trials=5)
    searches = [spec.sweep(place, turn) for place in range(3) for turn in range(spec.seeds)]
    assert {search.most_races for search in searches} == {5}
    most = [max(vary.grid) for search in searches for vary in search.vary if vary.field == "epochs"]  # type: ignore[type-var]
    assert most == [4] * len(searches)
    assert {search.chooses_by for search in searches} == {"validation"}
    assert all(search.pruning == "none" for search in searches), "a pruned trial would be none"


def test_on_the_clock_of_gradients_a_cheaper_method_may_take_more_epochs() -> None:
    spec = fake_duel.spec(epochs=8, clock="gradients")
    most = [max(vary.grid for vary in each.vary if vary.field == "epochs")[-1] for each in spec.contenders]  # type: ignore[type-var]
    assert most == [16, 8]
    dearest = [
        spec.sweep(place, 0).race({"epochs": epochs}).gradients
        for place, epochs in enumerate(most)  # type: ignore[dict-item]
    ]
    assert dearest[0] == dearest[1]


def test_no_seed_that_judges_has_been_searched_with() -> None:
    spec = fake_duel.spec(seeds=7)
    searched = {spec.sweep(0, turn).base.seed for turn in range(spec.seeds)}
    judging = {spec.fresh_seed(turn) for turn in range(spec.seeds)}
    assert len(searched) == len(judging) == 7
    assert not searched & judging


def test_a_search_space_of_the_race_may_exceed_it() -> None:
    spec = new_duel(
        RaceSpec(epochs=5), [LaneSpec(method="sgd"), LaneSpec(method="sam")], ["sgd:epochs=20,40", "2:lr=0.3"]
    )
    assert [vary.grid for vary in spec.contenders[0].vary if vary.field == "epochs"] == [(20, 40)]
    assert [vary.grid for vary in spec.contenders[1].vary if vary.field == "lr"] == [(0.3,)]


def test_images_are_held_out_where_the_task_holds_out_none() -> None:
    lanes = [LaneSpec(method="sgd"), LaneSpec(method="sam")]
    assert new_duel(RaceSpec(), lanes).base.validation == VALIDATION
    assert new_duel(parse_spec({"validation": 0.4}), lanes).base.validation == 0.4


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"trials": 1}, ["trials", "2"]),
        ({"seeds": 99}, ["seeds", "20"]),
        ({"margin": 0}, ["margin", "0"]),
        ({"base": parse_spec({"lanes": "sgd,sam", "validation": 0.0})}, ["validation"]),
        ({"contenders": fake_duel.spec().contenders[:1]}, ["contenders", "2"]),
    ],
)
def test_a_bad_duel_is_refused_in_one_line(values: dict[str, object], named: list[str]) -> None:
    good = fake_duel.spec()
    with pytest.raises(ValueError, match=named[0]) as refused:
        parse_duel({"base": good.base, "contenders": good.contenders, **values})
    assert_one_line_error(str(refused.value), named)


def test_it_lasts_as_long_as_all_its_trainings() -> None:
    spec = fake_duel.spec(trials=5, seeds=4)
    one = estimate_seconds(spec.sweep(1, 0).race({"epochs": 1}), rate("cpu"))
    longest = estimate_seconds(spec.sweep(1, 0).race({"epochs": 4}), rate("cpu"))
    assert 4 * 6 * one < duel_seconds(spec, rate("cpu")) < 2 * 4 * 6 * longest
    more = spec.model_copy(update={"seeds": 8})
    assert duel_seconds(more, rate("cpu")) == pytest.approx(2 * duel_seconds(spec, rate("cpu")))


# How it is played


@pytest.fixture(scope="module")
def played(lab: DuelLab) -> tuple[Duel, list[int]]:
    """A duel that the runner has played to its end, and how many trials had ended at each look on the way."""
    duel_id, seen = lab.duel(fake_duel.spec(), "to its end"), [0]

    def over() -> bool:
        duel = look(lab.store, duel_id)
        if duel.state == "running":
            standings = lab.store.duels.standings(duel)
            assert all(each.answer is None and each.compared is None for each in standings)
            seen.append(sum(each.searched for each in standings))
        return duel.state != "running"

    wait_until(over)
    return look(lab.store, duel_id), seen


def test_it_runs_to_its_end_and_answers(lab: DuelLab, played: tuple[Duel, list[int]]) -> None:
    duel, seen = played
    assert duel.state == "finished"
    assert seen == sorted(seen)
    assert len(set(seen)) > 2, "trials are seen as they end"
    sgd, sam = lab.store.duels.standings(duel)
    assert sgd.searched == sam.searched == 3 * 3
    assert sorted(sgd.test) == sorted(sam.test) == [3, 4, 5]
    assert sam.answer == "yes"
    assert sam.compared is not None
    assert sam.compared.mean == pytest.approx(sum(sam.differences.values()) / 3)
    assert sam.differences == {seed: pytest.approx(100 * (sam.test[seed] - sgd.test[seed])) for seed in (3, 4, 5)}
    assert (sgd.compared, sgd.answer, sgd.lost, sam.lost) == (None, None, 0, 0)


def test_a_winner_is_the_best_on_validation_images_and_meets_one_fresh_seed(
    lab: DuelLab, played: tuple[Duel, list[int]]
) -> None:
    duel, _ = played
    for place in range(2):
        for turn, sweep in enumerate(lab.store.duels.searches(duel, place)):
            trials = lab.trials(sweep.id)
            search = [trial for trial in trials if not trial.fresh]
            (fresh,) = [trial for trial in trials if trial.fresh]
            assert len(search) == duel.spec.trials
            best = max(search, key=lambda trial: trial.score or 0)
            assert fresh.values == best.values
            assert fresh.seed == duel.spec.fresh_seed(turn)
            run = lab.run(str(fresh.run))
            assert run.result is not None
            assert fresh.score == run.result["lanes"][0]["test_accuracy"]


def test_its_cost_and_its_way_to_a_target_are_known(lab: DuelLab, played: tuple[Duel, list[int]]) -> None:
    duel, _ = played
    for place, each in enumerate(lab.store.duels.standings(duel)):
        assert sorted(each.gradients) == sorted(each.seconds) == [3, 4, 5]
        assert each.search_gradients > 0
        easy, hard = (lab.store.duels.to_target(duel, place, target) for target in (0.01, 0.99))
        assert all(cost is not None and cost[0] <= each.gradients[seed] for seed, cost in easy.items())
        assert list(hard.values()) == [None] * 3


def test_its_searches_are_no_sweeps_of_their_own(lab: DuelLab, played: tuple[Duel, list[int]]) -> None:
    assert not lab.store.sweeps.of("ada")
    assert not lab.store.sweeps.of(None)
    assert played[0].id in {duel.id for duel in lab.store.duels.of("ada")}


def test_the_test_set_does_not_change_what_is_chosen(store: Store) -> None:
    """Test accuracy orders the settings the other way round; they are chosen as before, and the answer turns round."""
    plain, opposed = (look(store, fill(store, "ada", fake_duel.spec(**base))) for base in ({}, OPPOSED))
    winners = [
        [point.values for point in each.winners.values()]
        for duel in (plain, opposed)
        for each in store.duels.standings(duel)
    ]
    assert winners[:2] == winners[2:]
    assert [store.duels.standings(duel)[1].answer for duel in (plain, opposed)] == ["yes", "no"]


def test_two_rounds_cannot_tell(store: Store) -> None:
    duel = look(store, fill(store, "ada", fake_duel.spec(seeds=2)))
    assert store.duels.standings(duel)[1].answer == "can't tell"


def test_a_judged_training_that_gave_no_number_leaves_no_answer(store: Store) -> None:
    duel_id = fill(store, "ada", fake_duel.spec(seeds=5), rounds=4)
    duel = look(store, duel_id)
    for place in range(2):
        fake_duel._play(store, "ada", duel_id, duel.spec, place, 4)
    (last,) = [trial for trial in store.sweeps.trials(store.duels.searches(duel, 1)[4].id) if trial.fresh]
    sweep_id = store.duels.searches(duel, 1)[4].id
    store.sweeps.delete(sweep_id)
    fake_search = store.sweeps.create(duel.spec.sweep(1, 4), f"duel {duel_id} 1 4", "ada")
    store.sweeps.add(fake_search, [last])
    store.sweeps.transition(fake_search, ("running",), "finished")
    store.duels.transition(duel_id, ("running",), "finished")
    sam = store.duels.standings(look(store, duel_id))[1]
    assert (sam.answer, len(sam.differences)) == ("can't tell", 4)
    assert "1 of 5" in export.verdicts(look(store, duel_id), store.duels.standings(look(store, duel_id)))[0]


def test_pause_stop_and_resume(lab: DuelLab) -> None:
    duel_id = lab.duel(LONG, "held")
    wait_until(lambda: lab.searched(duel_id) >= 1)
    lab.client.duels.pause(duel_id, ADA)
    assert look(lab.store, duel_id).state == "paused"
    wait_until(lambda: not [job for job in lab.store.queue.jobs() if job.state in ("starting", "running")])
    held = lab.searched(duel_id)
    with pytest.raises(ValueError, match="still running"):
        lab.client.duels.delete(duel_id, ADA)
    lab.client.duels.stop(duel_id, ADA)
    stopped = lab.wait_duel(duel_id, "stopped")
    assert lab.standings(duel_id)[1].answer is None
    wait_until(lambda: not lab.store.queue.jobs())
    assert lab.searched(duel_id) >= held, "what has ended counts"
    lab.client.duels.resume(stopped.id, ADA)
    ended = lab.wait_duel(duel_id)
    assert ended.state == "finished", ended.message
    sgd, sam = lab.standings(duel_id)
    assert sgd.searched == sam.searched == 3 * 2
    assert sam.answer == "yes"


def test_only_its_owner_or_a_teacher_steers_it_and_one_at_a_time(lab: DuelLab) -> None:
    duel_id = lab.duel(LONG, "mine")
    for steer in (lab.client.duels.pause, lab.client.duels.resume, lab.client.duels.stop, lab.client.duels.delete):
        with pytest.raises(PermissionError, match="else"):
            steer(duel_id, BOB)
    with pytest.raises(ValueError, match=r"^.*not finished.*stop it first$"):
        lab.duel(LONG, "another")
    lab.client.duels.stop(duel_id, TEACHER)
    assert look(lab.store, duel_id).state == "stopped"
    wait_until(lambda: not lab.store.queue.jobs())


def test_a_deleted_duel_leaves_its_races_and_no_sweeps(store: Store) -> None:
    first, second = (fill(store, "ada", fake_duel.spec(trials=2, seeds=2)) for _ in range(2))
    runs = len(store.runs.newest(limit=100))
    kept = [sweep.id for sweep in store.duels.searches(look(store, second), 0)]
    gone = [sweep.id for sweep in store.duels.searches(look(store, first), 0)]
    store.duels.delete(first)
    assert store.duels.get(first) is None
    assert [store.sweeps.get(each) for each in gone] == [None] * 2
    assert all(store.sweeps.get(each) for each in kept)
    assert len(store.runs.newest(limit=100)) == runs


def test_the_answer_outlives_its_races(store: Store) -> None:
    duel = look(store, fill(store, "ada", fake_duel.spec(trials=2)))
    before = store.duels.standings(duel)[1]
    for run in store.runs.newest(limit=100):
        assert store.runs.purge(run.id)
    after = store.duels.standings(duel)[1]
    assert (after.answer, after.compared, after.differences) == (before.answer, before.compared, before.differences)


@pytest.mark.slow
def test_a_killed_runner_loses_and_repeats_nothing(own_lab: DuelLab) -> None:
    lab = own_lab
    runner = lab.start_runner(**TORCH)
    duel_id = lab.duel(LONG, "through it all")
    for until in (2, 6):
        wait_until(lambda until=until: lab.searched(duel_id) >= until)  # type: ignore[misc]
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        runner = lab.start_runner(**TORCH)
    assert lab.wait_duel(duel_id).state == "finished"
    assert [each.searched for each in lab.standings(duel_id)] == [6, 6]
    assert len(lab.store.runs.newest(limit=100)) == 2 * 3 * (2 + 1)


def test_a_search_in_which_nothing_finishes_stops_the_duel_and_says_why(lab: DuelLab) -> None:
    spec = new_duel(parse_spec({"epochs": 2}), [LaneSpec(method="sgd"), LaneSpec(method="sam")], ["sam:rho=9"], seeds=2)
    duel = lab.wait_duel(lab.duel(spec.model_copy(update={"trials": 2}), "diverging"))
    assert duel.state == "stopped"
    assert_one_line_error(duel.message, ["sam"])


def test_a_backup_holds_it(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "one")) as old, closing(Store(tmp_path / "two")) as new:
        duel_id = fill(old, "ada", fake_duel.spec(trials=2))
        running = old.duels.create(LONG, "running", "ada")
        backup.backup(old, tmp_path / "lab.tar.gz")
        backup.restore(new, tmp_path / "lab.tar.gz")
        assert export.result(new, look(new, duel_id)) == export.result(old, look(old, duel_id))
        assert [duel.id for duel in new.duels.active()] == [running], "it goes on in its new home"


# What can be taken away


def test_every_training_is_in_the_csv_with_no_test_accuracy_of_a_search(store: Store) -> None:
    duel = look(store, fill(store, "ada", fake_duel.spec()))
    lines = list(csv.DictReader(io.StringIO(export.as_csv(store, duel))))
    assert len(lines) == 2 * 3 * (3 + 1)
    assert {line["test_accuracy"] for line in lines if line["part"] == "search"} == {""}
    judged = [line for line in lines if line["part"] == "judged"]
    assert {(line["method"], line["seed"]) for line in judged} == {
        (name, str(s)) for name in ("sgd", "sam") for s in (3, 4, 5)
    }
    sam = store.duels.standings(duel)[1]
    assert {int(line["seed"]): float(line["test_accuracy"]) for line in judged if line["method"] == "sam"} == sam.test
    assert all(int(line["gradients"]) > 0 and float(line["lr"]) > 0 for line in lines)


def test_the_json_and_the_report_hold_the_answer(store: Store) -> None:
    duel = look(store, fill(store, "ada", fake_duel.spec()))
    told = json.loads(export.as_json(store, duel))
    sam = told["contenders"][1]
    assert sam["answer"] == "yes"
    assert sam["interval"][0] < sam["difference"] < sam["interval"][1]
    assert DuelSpec.model_validate(told["spec"]) == duel.spec
    page = export.as_html(store, duel)
    assert f"{sam['difference']:.2f}" in page
    assert "<script" not in page
    unfinished = look(store, fill(store, "ada", fake_duel.spec(), rounds=1))
    assert json.loads(export.as_json(store, unfinished))["verdicts"] == []
    assert "interval" not in json.loads(export.as_json(store, unfinished))["contenders"][1]


# The command


@pytest.fixture
def command(lab: DuelLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("SSAM_HOME", str(lab.store.home))
    monkeypatch.setenv("SSAM_DATABASE_URL", lab.store.url)

    def run(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main(["duel", *words])
        except SystemExit as left:
            status = int(left.code or 0)
        return status, *capsys.readouterr()

    return run


def test_a_duel_is_followed_to_its_result_and_saved(command, tmp_path: Path) -> None:
    flags = ("--lanes", "sgd,sam", "--epochs", "2", "--trials", "2", "--fresh", "3", "--json")
    file = tmp_path / "duel.csv"
    status, out, _ = command(*flags, "--space", "sam:rho=0.1,0.2", "--save", str(file))
    told = [json.loads(line) for line in out.splitlines()]
    assert (status, [line["event"] for line in told]) == (0, ["duel", "result"])
    assert told[-1]["contenders"][1]["answer"] == "yes"
    assert len(file.read_text().splitlines()) == 1 + 2 * 3 * 3
    duel_id = told[0]["id"]
    status, out, _ = command("--show", duel_id[:8])
    assert (status, "Yes" in out) == (0, True)
    assert duel_id in command("--list")[1]
    assert command("--delete", duel_id)[0] == 0
    assert duel_id not in command("--list")[1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--lanes", "sgd"), ["contenders", "2"]),
        (("--trials", "x"), ["trials"]),
        (("--fresh", "1"), ["seeds", "2"]),
        (("--target", "80"), ["target", "1"]),
        (("--save", "result.xls"), ["save", "csv"]),
        (("--space", "sgd:rho=0.1"), ["rho", "sgd"]),
        (("--space", "nobody:lr=0.1"), ["nobody", "sam"]),
        (("--lanes", "sgd:lr=0.05,sam"), ["sgd", "lr", "space"]),
        (("--clock", "seconds"), ["seconds", "gradients"]),
        (("--show", "nothing-like-it"), ["no duel"]),
        (("--stop", "nothing-like-it"), ["no duel"]),
    ],
)
def test_a_bad_command_is_one_line(command, words: tuple[str, ...], named: list[str]) -> None:
    status, out, err = command(*words)
    assert (status, out) == (2, "")
    assert_one_line_error(err.strip(), named)
