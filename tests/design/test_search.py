"""The design loop: what it finds, that nothing but seed and space settle that, and what kills leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import pytest
from design_spaces import table_of, write_space

import snnmap
from snnmap.core.errors import FrontendError, InputError, SnnmapError
from snnmap.core.front import find_front
from snnmap.design import Candidate, Outcome, Search, draw_search, format_search, read_space, search_csv
from snnmap.design.candidate import Curve, evaluate
from snnmap.design.choose import choose_next


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Search]:
    """A whole search by this process alone."""
    folder = tmp_path_factory.mktemp("search")
    return folder, snnmap.search(write_space(folder), folder / "found")


def test_the_best_are_bitstreams_that_do_what_was_measured(found: tuple[Path, Search]) -> None:
    folder, search = found
    assert [c.number for c in search.candidates] == [0, 1, 2, 3]
    assert len({repr(sorted(c.values.items())) for c in search.candidates}) == 4
    data = np.load(folder / "data.npz")
    kept = sorted((folder / "found").glob("candidate-*"))
    assert [int(path.name.rpartition("-")[2]) for path in kept] == sorted(c.number for c in search.front)
    for candidate in search.front:
        assert candidate.outcome is not None
        place = folder / "found" / f"candidate-{candidate.number:04d}"
        image = snnmap.decode((place / "network.bin").read_bytes())
        port, *_ = snnmap.lif.compare.run_ports(image, image.manifest, data["validation"].astype(np.int64))
        assert (port.classes == data["validation_labels"]).mean() == candidate.outcome.measures["accuracy"]
        assert json.loads((place / "candidate.json").read_text())["values"] == dict(candidate.values)
        assert "<html" in (place / "report.html").read_text()
        again = evaluate(read_space(folder / "space.toml"), candidate.values, (), None)
        assert again == candidate.outcome


def test_a_search_that_is_over_is_read_from_its_store(found: tuple[Path, Search]) -> None:
    folder, search = found
    told: list[Candidate] = []
    assert snnmap.search(folder / "space.toml", folder / "found", on_candidate=told.append) == search
    assert told == []


def test_files_that_are_gone_are_made_again(found: tuple[Path, Search]) -> None:
    folder, search = found
    place = folder / "found" / f"candidate-{search.front[0].number:04d}"
    before = (place / "network.bin").read_bytes()
    for path in sorted(place.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    snnmap.search(folder / "space.toml", folder / "found")
    assert (place / "network.bin").read_bytes() == before


def test_a_kill_and_a_resume_change_nothing(found: tuple[Path, Search], tmp_path: Path) -> None:
    folder, search = found
    code = (
        f"import snnmap; snnmap.search({str(folder / 'space.toml')!r}, {str(tmp_path)!r}, on_candidate=lambda c: print(c.number))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"0\n"
        run.send_signal(signal.SIGKILL)
    told: list[int] = []
    resumed = snnmap.search(folder / "space.toml", tmp_path, on_candidate=lambda c: told.append(c.number))
    assert 0 not in told
    assert table_of(resumed) == table_of(search)


def test_a_worker_that_is_killed_changes_nothing(found: tuple[Path, Search], tmp_path: Path) -> None:
    folder, search = found

    def kill_one(candidate: Candidate) -> None:
        if candidate.number == 0:
            workers = active_children()
            assert workers
            os.kill(int(workers[0].pid or 0), signal.SIGKILL)

    killed = snnmap.search(folder / "space.toml", tmp_path, n_workers=2, on_candidate=kill_one)
    assert table_of(killed) == table_of(search)


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        yield executor


def test_workers_elsewhere_that_are_lost_lose_nothing(
    found: tuple[Path, Search], tmp_path: Path, pool: ProcessPoolExecutor
) -> None:
    folder, search = found

    def kill_all(candidate: Candidate) -> None:
        for worker in active_children():
            os.kill(int(worker.pid or 0), signal.SIGKILL)
        time.sleep(0.5)

    with pytest.raises(SnnmapError, match="the workers are gone"):
        snnmap.search(folder / "space.toml", tmp_path, executor=pool, on_candidate=kill_all)
    told: list[int] = []
    assert table_of(snnmap.search(folder / "space.toml", tmp_path, on_candidate=lambda c: told.append(c.number))) == table_of(
        search
    )
    assert 0 < len(told) < 4


def test_what_breaks_a_rule_or_a_limit_is_not_trained(tmp_path: Path) -> None:
    space = read_space(write_space(tmp_path, name="name = 'generic-4096'\nhidden.count = [3, 4096]"))
    small = {"chip.hidden.count": 3, "model.width": 5, "model.depth": 1, "train.learning_rate": 0.01}
    outcome = evaluate(space, small, (), None)
    assert (outcome.state, outcome.accuracies) == ("broken", ())
    assert "contradicts" in outcome.reason or "SNN202" in outcome.reason
    limited = replace(space, limits={"neurons": 6.0})
    outcome = evaluate(limited, {**small, "chip.hidden.count": 4096}, (), None)
    assert (outcome.state, outcome.accuracies, outcome.reason) == ("broken", (), "neurons: 7, limit 6")
    outcome = evaluate(replace(space, limits={"accuracy": 1.1}), {**small, "chip.hidden.count": 4096}, (), None)
    assert outcome.state == "broken"
    assert outcome.reason.startswith("accuracy: ")
    assert len(outcome.accuracies) == 2


def test_what_is_worse_than_others_that_cost_no_more_is_stopped(tmp_path: Path) -> None:
    space = read_space(write_space(tmp_path))
    values = {"model.width": 5, "model.depth": 1, "train.learning_rate": 1e-3}
    better = tuple(Curve(weights=1.0, accuracies=(2.0, 2.0)) for _ in range(8))
    stopped = evaluate(space, values, better, None)
    assert (stopped.state, len(stopped.accuracies)) == ("stopped", 1)
    assert stopped.reason.endswith("after 1 of 2 epochs")
    dearer = tuple(Curve(weights=1e6, accuracies=(2.0, 2.0)) for _ in range(8))
    assert evaluate(space, values, dearer, None).state == "finished"
    assert evaluate(space, values, better[:7], None).state == "finished"


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_a_choice_depends_on_what_was_finished_before_it_alone(tmp_path: Path, sampler: str) -> None:
    space = read_space(write_space(tmp_path, n_trials=f"sampler = '{sampler}'"))
    before: list[Candidate] = []
    for number in range(13):
        chosen = choose_next(space, before)
        assert chosen is not None
        measures = {"accuracy": 0.5 + 0.01 * number, "weights": 100.0 - number}
        before.append(replace(chosen, outcome=Outcome(state="finished", measures=measures)))
    assert len({repr(sorted(c.values.items())) for c in before}) == 13
    running = [*before[:-1], replace(before[-1], outcome=None)]
    assert choose_next(space, before) == choose_next(space, running)
    turned = [replace(one, outcome=other.outcome) for one, other in zip(before, reversed(before), strict=True)]
    assert (choose_next(space, turned) != choose_next(space, before)) == (sampler != "random")


def test_a_space_can_be_used_up(tmp_path: Path) -> None:
    path = write_space(tmp_path, width="width = [3, 4]", depth="depth = 1", recurrent="", learning_rate="learning_rate = 0.01")
    assert len(snnmap.search(path, tmp_path / "found").candidates) == 2


def test_who_is_best() -> None:
    assert find_front([(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.5, 0.4), (1.0, 0.0)]) == [0, 1, 2]


def test_the_store_is_of_one_space_and_one_search(found: tuple[Path, Search], tmp_path: Path) -> None:
    folder, _ = found
    (tmp_path / "data.npz").write_bytes((folder / "data.npz").read_bytes())
    (tmp_path / "space.toml").write_text((folder / "space.toml").read_text().replace("n_epochs = 2", "n_epochs = 3"))
    with pytest.raises(InputError, match="of another space") as caught:
        snnmap.search(tmp_path / "space.toml", folder / "found")
    assert "changed since: fixed values" in str(caught.value)
    from snnmap.design.store import open_store

    with open_store(read_space(folder / "space.toml"), folder / "found", None), pytest.raises(InputError, match="another search"):
        snnmap.search(folder / "space.toml", folder / "found")


@pytest.mark.parametrize(
    ("key", "line", "told"),
    [
        ("width", "widht = [3, 4]", "did you mean 'width'?"),
        ("model_from", "model_from = 'snnmap.nn.models:make_layerd'", "did you mean 'make_layered'?"),
        ("data_from", "data_from = 'date.npz'", "the data cannot be read"),
        ("n_inputs", "n_inputs = 4", "the input raster has the wrong shape"),
        ("name", "name = 'generic-4096'\n[data]\nn_steps = 3", "a file of data takes no parameters"),
    ],
)
def test_what_cannot_be_made_is_told_first(tmp_path: Path, key: str, line: str, told: str) -> None:
    with pytest.raises(SnnmapError) as caught:
        snnmap.search(write_space(tmp_path, **{key: line}, n_trials="n_trials = 6"), tmp_path / "found")
    assert told in str(caught.value)


def test_a_space_that_was_told_to_be_wrong_is_mended_in_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SnnmapError, match="did you mean 'width'"):
        snnmap.search(write_space(tmp_path, width="widht = [3, 4]"), tmp_path / "found")
    assert len(snnmap.search(write_space(tmp_path, n_trials="n_trials = 1"), tmp_path / "found").candidates) == 1


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("train_labels", np.full(32, 2), "train_labels, labels"),
        ("validation_labels", np.full(16, 2), "validation_labels, labels"),
        ("validation_labels", np.full(16, -1), "no output stands for"),
        ("validation", np.zeros((16, 6, 2), int), "data.npz, validation"),
        ("validation", np.zeros((16, 0, 3), int), "do not belong together"),
        ("train", np.full((32, 6, 3), -1), "data.npz, train"),
    ],
)
def test_data_that_do_not_suit_are_told_first(tmp_path: Path, name: str, values: np.ndarray, told: str) -> None:
    space = write_space(tmp_path)
    data = dict(np.load(tmp_path / "data.npz"))
    np.savez(tmp_path / "data.npz", **{**data, name: values})
    with pytest.raises(InputError) as caught:
        snnmap.search(space, tmp_path / "found")
    assert told in str(caught.value)


def test_a_sample_is_one_of_the_validation(tmp_path: Path) -> None:
    space = write_space(tmp_path, n_trials="n_trials = 1")
    data = dict(np.load(tmp_path / "data.npz"))
    np.savez(tmp_path / "data.npz", **{**data, "validation": data["validation"][:, :3]})
    values = {"model.width": 3, "model.depth": 1, "train.learning_rate": 0.01}
    assert evaluate(read_space(space), values, (), None).measures["latency_steps"] == 4


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    space = write_space(tmp_path)
    for folder in (space, space / "found"):
        with pytest.raises(InputError, match="this is no folder"):
            snnmap.search(space, folder)


def test_workers_that_would_have_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="parallel = 3"):
        snnmap.search(write_space(tmp_path), tmp_path / "found", n_workers=3)


MODEL = """
import os, multiprocessing
from snnmap.core.errors import InputError
from snnmap.nn.models import make_layered

def make(width, depth, recurrent=False):
    if width == 4:
        raise InputError("there is none of 4")
    if width == 5 and multiprocessing.parent_process() is not None:
        os._exit(1)
    return make_layered(3, 2, width=width, depth=depth, recurrent=recurrent)
"""


def write_own_model(folder: Path, width: int) -> Path:
    """Write a space of a model of 3 neurons and one of another width."""
    (folder / "model.py").write_text(MODEL)
    return write_space(
        folder,
        model_from="model_from = 'model.py:make'",
        n_inputs="",
        n_outputs="",
        width=f"width = [3, {width}]",
        n_epochs="n_epochs = 1",
    )


def test_what_is_wrong_with_some_candidates_alone(tmp_path: Path) -> None:
    space = write_own_model(tmp_path, 4)
    states = {c.values["model.width"]: c.outcome for c in snnmap.search(space, tmp_path / "found").candidates if c.outcome}
    assert states[3].state == "finished"
    assert (states[4].state, states[4].reason.splitlines()[0]) == ("failed", "there is none of 4")


@pytest.mark.nightly
def test_a_candidate_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    space = write_own_model(tmp_path, 5)
    found = snnmap.search(space, tmp_path / "found", n_workers=2)
    states = {c.values["model.width"]: c.outcome for c in found.candidates if c.outcome}
    assert states[3].state == "finished"
    assert states[5].state == "failed"
    assert "its worker died" in states[5].reason


def test_the_table_and_its_pictures(found: tuple[Path, Search]) -> None:
    _, search = found
    assert search_csv(search).splitlines()[0].startswith("candidate,state,accuracy,weights,model.width,")
    assert len(search_csv(search).splitlines()) == 5
    assert draw_search(search).startswith(b"<?xml")
    assert "Trade" in format_search(search)
    assert "search 'space'" in search._repr_html_()


def test_optuna_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_space(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(FrontendError, match=r"pip install 'snnmap\[search\]'"):
        snnmap.search(path, tmp_path / "found")
