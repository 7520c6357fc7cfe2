"""A build is one thing: kills at every step of writing, builds at the same time, failing builds, files of others, names."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run
from rule_cases import chain, residual

from snnmap.network import save_network

BUILDS = """
import json, os, random, signal, sys
from pathlib import Path
from snnmap.cli import main
from snnmap.core import folders, fsio

folder, n_kills, n_pairs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
out = folder / "out"


def build(which, where, kill_at=None):
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if kill_at is not None:
        count = iter(range(kill_at))
        for owner, name in [
            (os, "fsync"), (os, "replace"), (os, "rename"), (os, "link"), (os, "mkdir"), (os, "unlink"), (os, "rmdir"),
            (folders, "_exchange_at_once"),
        ]:
            def step(*arguments, call=getattr(owner, name), **options):
                if next(count, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                given = call(*arguments, **options)
                if next(count, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return given
            setattr(owner, name, step)
    model, chip = which
    main(["build", str(folder / model), "--chip", chip, "-o", str(where)])


def finish(*children):
    return [os.waitpid(child, 0)[1] for child in children]


def read(where):
    return {str(path.relative_to(where)): path.read_bytes() for path in where.rglob("*") if path.is_file()}


ways = [("small.json", "xylo-audio-3"), ("large.json", "generic-4096")]
wanted = []
for number, way in enumerate(ways):
    assert finish(build(way, folder / str(number))) == [0]
    wanted.append(read(folder / str(number)))
assert wanted[0].keys() - wanted[1].keys()
names = {path.name for path in folder.iterdir()} | {"out"}
draw = random.Random(1)
found = {"killed": 0, "mixed": 0, "left": 0}
assert finish(build(ways[0], out)) == [0]
for number in range(n_kills):
    (status,) = finish(build(ways[(number + 1) % 2], out, draw.randrange(160)))
    found["killed"] += os.WIFSIGNALED(status)
    found["mixed"] += read(out) not in wanted
    if number % 20 == 19 or number == n_kills - 1:
        assert finish(build(ways[number % 2], out)) == [0]
        found["mixed"] += read(out) != wanted[number % 2]
        found["left"] += len({path.name for path in folder.iterdir()} - names)
for _ in range(n_pairs):
    assert finish(build(ways[0], out), build(ways[1], out)) == [0, 0]
    found["mixed"] += read(out) not in wanted
    found["left"] += len({path.name for path in folder.iterdir()} - names)
print(json.dumps(found))
"""


@pytest.mark.parametrize(("n_kills", "n_pairs"), [(16, 3), pytest.param(1000, 200, marks=pytest.mark.nightly)])
def test_no_kill_and_no_build_at_the_same_time_mixes_two(tmp_path: Path, n_kills: int, n_pairs: int) -> None:
    save_network(chain(3, 5, 4, 2), tmp_path / "small.json")
    save_network(residual(), tmp_path / "large.json")
    command = [sys.executable, "-W", "ignore", "-c", BUILDS, str(tmp_path), str(n_kills), str(n_pairs)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert (found["mixed"], found["left"]) == (0, 0)
    assert found["killed"] > n_kills // 2


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_build_for_another_chip_leaves_nothing_of_the_first(run: Run, model: Path, tmp_path: Path) -> None:
    for chip in ("xylo-audio-3", "generic-4096"):
        assert run("build", model, "--chip", chip, "-o", tmp_path / "a", "--name", chip).code == 0
    assert run("build", model, "--chip", "generic-4096", "-o", tmp_path / "b", "--name", "generic-4096").code == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert "aliases_0.mem" not in {path.name for path in (tmp_path / "a" / "readmemh").iterdir()}


def test_files_that_no_build_wrote_stay(run: Run, bitstream: Path, model: Path) -> None:
    folder = bitstream.parent
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("mine")
    (folder / "link").symlink_to("notes/mine.txt")
    assert run("build", model, "--chip", "xylo-audio-2", "-o", folder).code == 0
    assert (folder / "link").read_text() == "mine"
    assert (folder / "link").is_symlink()


def test_build_json_ties_every_file_to_the_image(run: Run, bitstream: Path) -> None:
    folder = bitstream.parent
    assert set(json.loads((folder / "build.json").read_text())["files"]) == set(contents(folder)) - {"build.json"}
    assert run("selftest", bitstream).code == 0
    for name in ("report.json", "readmemh/thresholds_0.mem", "slots.csv"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data + b" ")
        mixed = run("selftest", bitstream)
        assert (mixed.code, "files of different builds" in mixed.err, str(folder / name) in mixed.err) == (2, True, True)
        (folder / name).unlink()
        assert "measured: no file" in run("selftest", bitstream).err
        (folder / name).write_bytes(data)
    assert run("selftest", bitstream).code == 0


def test_selftest_says_where_no_build_tells_of_the_files(run: Run, bitstream: Path) -> None:
    told = bitstream.with_name("build.json")
    renamed = bitstream.rename(bitstream.with_name("other.bin"))
    build, alone = told.read_text(), "the image alone is tested, and no file beside it: "
    result = run("selftest", renamed)
    assert (result.code, result.err.strip()) == (0, f"{alone}{told} tells of chain.bin")
    told.unlink()
    result = run("selftest", renamed)
    assert (result.code, result.err.strip()) == (0, f"{alone}{told} is not there")
    for damaged in ("{}", "", "[]", build[:100], json.dumps({**json.loads(build), "files": {}})):
        told.write_text(damaged)
        result = run("selftest", renamed)
        assert (result.code, "does not tell of a build" in result.err, str(told) in result.err) == (2, True, True)


def test_an_older_build_is_marked_where_a_later_one_fails(run: Run, bitstream: Path, raster: Path, model: Path) -> None:
    folder, before = bitstream.parent, contents(bitstream.parent)
    failed = run("build", model, "--chip", "toy-4", "-o", folder)
    assert failed.code == 1
    mark = (folder / "FAILED.txt").read_text()
    assert failed.err.strip().removeprefix("snnmap: ").splitlines()[-1] in mark
    assert {**before, "FAILED.txt": mark.encode()} == contents(folder)
    for command in (("inspect", bitstream), ("simulate", bitstream, "-i", raster), ("selftest", bitstream)):
        result = run(*command)
        assert (result.code, "a later build into this folder failed" in result.err) == (0, True)
    assert run("build", model, "--chip", "xylo-audio-3", "-o", folder).code == 0
    assert contents(folder) == before


def test_a_bitstream_has_the_name_that_it_is_given(run: Run, model: Path, tmp_path: Path) -> None:
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--name", "gate-7")
    assert result.out.startswith(f"{tmp_path}/a/gate-7.bin: ")
    assert {"gate-7.bin", "gate-7.txt"} < set(contents(tmp_path / "a"))
    assert json.loads((tmp_path / "a" / "build.json").read_text())["bitstream"] == "gate-7.bin"
    for name in ("../x", "a/b", ".hidden", "a b"):
        refused = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "b", "--name", name)
        assert (refused.code, "no name of a bitstream" in refused.err, (tmp_path / "b").exists()) == (2, True, False)


def test_the_working_directory_is_not_replaced(run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (".", ".."):
        refused = run("build", model, "--chip", "xylo-audio-3", "-o", place)
        assert (refused.code, "cannot be replaced as a whole" in refused.err) == (2, True)
    assert run("build", model, "--chip", "xylo-audio-3", "-o", "build").code == 0
