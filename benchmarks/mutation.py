"""How many small changes of the design rules the tests notice: their mutation score.

A mutant changes one comparison, number, connective, negation, choice or operator of ``snnmap/lif/drc``. The tests that run the
changed statement judge it, quickest first, in a fork of one warm process; where all pass it is a survivor, told on the error
stream, even where it does the same as the source. Tests of random networks and of the documentation's examples do not judge:
they are slow, and notice by chance.

Run with ``make mutation``; numbers on the command line are how many mutants are drawn, and the seed; ``--write`` writes the
table.
"""

import ast
import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, NoReturn

import pytest
from measurements import Row, print_rows, write_table

FOLDER = Path("snnmap/lif/drc")
TESTS = ("tests/lif/drc", "tests/test_rules.py")
BY_CHANCE = [f"tests/lif/drc/test_{name}.py" for name in ("clean_builds", "examples", "near_limits")]
N_MUTANTS, SEED, LEAST = 200, 2, 0.85
MOST_S = 20
"""Seconds of tests that judge a mutant, the quickest ones; of processor, as all seconds here."""
PATIENCE_S, SLOWER = 10, 5
"""A mutant is killed after so many seconds, and so many times those that its tests take without it."""

SWAPPED: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
RENAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@functools.cache
def read_rules() -> dict[str, ast.Module]:
    """Parse the modules of the rules, by path."""
    return {str(path.resolve()): ast.parse(path.read_text()) for path in sorted(FOLDER.rglob("*.py"))}


@dataclass(frozen=True)
class Mutant:
    """A module, and what takes the place of one of its nodes; the same node where nothing is changed."""

    path: str
    statement: ast.stmt
    node: ast.expr
    changed: ast.expr

    def __str__(self) -> str:
        place = f"{self.file}:{self.node.lineno}:{self.node.col_offset}"
        return f"{place}: {ast.unparse(self.node)} -> {ast.unparse(self.changed)}"

    @property
    def file(self) -> Path:
        return Path(self.path).relative_to(Path.cwd())

    def compile(self) -> CodeType:
        tree = Put(self.node, self.changed).visit(read_rules()[self.path])
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class Put(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self.old, self.new = old, ast.copy_location(new, old)

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def list_mutants() -> list[Mutant]:
    """List all mutants of all modules, in a fixed order."""
    return [
        Mutant(path, statement, node, changed)
        for path, tree in read_rules().items()
        for statement in list_statements(tree)
        for node in walk_own(statement)
        for changed in change(node)
    ]


def list_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield all statements but definitions, whose decorators and defaults are told elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node


def walk_own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what belongs to a statement itself, not to those inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt):
            yield child
            yield from walk_own(child)


def change(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what a node is changed to."""
    match node:
        case ast.Compare(left, ops, comparators):
            for idx, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:idx], SWAPPED[type(op)](), *ops[idx + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPPED[type(op)](), values)
            for idx in range(len(values)):
                kept = [*values[:idx], *values[idx + 1 :]]
                yield ast.BoolOp(op, kept) if kept[1:] else kept[0]
        case ast.BinOp(left, op, right) if type(op) in SWAPPED:
            yield ast.BinOp(left, SWAPPED[type(op)](), right)
        case ast.UnaryOp(ast.Not() | ast.Invert(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(float() as value):
            yield from (ast.Constant(2.0 * value or 1.0), ast.Constant(0.5 * value or -1.0))
        case ast.IfExp(_, body, orelse):
            yield from (body, orelse)
        case ast.Name(str() as name) if name in RENAMED:
            yield ast.Name(RENAMED[name], node.ctx)
        case ast.Attribute(value, str() as name) if name in RENAMED:
            yield ast.Attribute(value, RENAMED[name], node.ctx)


def list_lines(mutant: Mutant) -> Iterator[tuple[str, int]]:
    """Yield paths and lines of the changed statement; of one outside functions those of the statements that use its names."""
    users = [(mutant.path, mutant.statement)]
    if mutant.statement in read_rules()[mutant.path].body:
        names = {node.id for node in walk_own(mutant.statement) if isinstance(node, ast.Name)}
        found = [(path, statement) for path, tree in read_rules().items() for statement in list_statements(tree)]
        users = [(path, s) for path, s in found if names & {node.id for node in walk_own(s) if isinstance(node, ast.Name)}]
    return ((path, line) for path, statement in users for line in span(statement))


def span(statement: ast.stmt) -> range:
    body = getattr(statement, "body", None)
    return range(statement.lineno, body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1)


def install(mutant: Mutant) -> None:
    """Run the mutant in its module's place, and give what it defines to all modules that have imported that."""
    names = vars(sys.modules[".".join(mutant.file.with_suffix("").parts)])
    before = dict(names)
    exec(mutant.compile(), names)
    for module in [vars(module) for module in sys.modules.values() if isinstance(module, ModuleType)]:
        module |= {name: names[name] for name in before.keys() & module.keys() if module[name] is before[name]}


class Judge:
    """Runs in the place of pytest's loop: all tests once, to see which run which lines, then those of each mutant.

    Attributes:
        killed: whether a test failed, by mutant.
    """

    def __init__(self, mutants: list[Mutant]) -> None:
        self.mutants = mutants
        self.killed: dict[Mutant, bool] = {}
        self._files = {mutant.path for mutant in mutants}
        self._tests: dict[tuple[str, int], set[pytest.Item]] = defaultdict(set)
        self._seconds: dict[pytest.Item, float] = {}
        self._in_fork = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for test in session.items:
            self._trace(test)
        chosen = {mutant: self._choose(mutant) for mutant in self.mutants}
        unchanged = [replace(mutant, changed=mutant.node) for mutant in self.mutants]
        if not self._survives(unchanged, list(dict.fromkeys(test for tests in chosen.values() for test in tests))):
            pytest.exit("a test fails in a fork, without a mutant", returncode=1)
        for mutant, tests in chosen.items():
            self.killed[mutant] = not self._survives([mutant], tests)
            print("killed  " if self.killed[mutant] else "SURVIVED", mutant, file=sys.stderr, flush=True)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._in_fork:
            os._exit(1)
        if report.failed:
            pytest.exit(f"a test fails without a mutant: {report.nodeid}\n{report.longreprtext}", returncode=1)

    def _trace(self, item: pytest.Item) -> None:
        """Run a test; note how long it takes and which lines of the rules it runs."""

        def trace(frame: FrameType, *_: object) -> Any:
            if frame.f_code.co_filename not in self._files:
                return None
            self._tests[frame.f_code.co_filename, frame.f_lineno].add(item)
            return trace

        start, outer = time.process_time(), sys.gettrace()
        sys.settrace(trace)
        try:
            run_test(item)
        finally:
            sys.settrace(outer)
        self._seconds[item] = time.process_time() - start

    def _choose(self, mutant: Mutant) -> list[pytest.Item]:
        """Return the tests that judge a mutant, the quickest first."""
        tests = {test for place in list_lines(mutant) for test in self._tests[place]}
        ordered = sorted(tests, key=self._seconds.__getitem__)
        spent = accumulate(self._seconds[test] for test in ordered)
        return [test for test, seconds in zip(ordered, spent, strict=True) if seconds <= MOST_S]

    def _survives(self, mutants: list[Mutant], tests: list[pytest.Item]) -> bool:
        """Say whether no test fails, in a fork that has mutants in place."""
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1] == 0
        signal.setitimer(signal.ITIMER_PROF, PATIENCE_S + SLOWER * sum(self._seconds[test] for test in tests))
        self._in_fork = True
        try:
            be_quiet()
            for mutant in mutants:
                install(mutant)
            for test in tests:
                run_test(test)
            os._exit(0)
        finally:
            os._exit(1)


def run_test(item: pytest.Item) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def be_quiet() -> None:
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    subprocess.Popen = skip_test  # type: ignore[assignment,misc]


def skip_test(*_: object, **__: object) -> NoReturn:
    pytest.skip("another process would run the source, not the mutant")


def judge_mutants(n_mutants: int, seed: int) -> dict[Mutant, bool]:
    """Draw mutants, and say of each whether a test fails."""
    judge = Judge(random.Random(seed).sample(list_mutants(), n_mutants))
    os.environ |= {"CI": "1", "OMP_NUM_THREADS": "1"}  # hypothesis draws the same in every run; threads do not outlive a fork
    skipped = [f"--ignore={path}" for path in BY_CHANCE]
    with redirect_stdout(sys.stderr):
        if pytest.main([*TESTS, *skipped, "-s", "-p", "no:cacheprovider", "-m", "not nightly"], plugins=[judge]):
            raise SystemExit("the tests must pass without a mutant")
    return judge.killed


def summarise(killed: dict[Mutant, bool], seed: int) -> Iterator[Row]:
    for file in sorted({mutant.file for mutant in killed}):
        mine = [is_killed for mutant, is_killed in killed.items() if mutant.file == file]
        yield f"`{file}`: mutants that a test fails", describe_share(mine), ""
    yield f"all rules, seed {seed}: mutants that a test fails", describe_share(list(killed.values())), f">= {LEAST:.0%}"


def describe_share(killed: list[bool]) -> str:
    return f"{sum(killed) / len(killed):.0%}, {sum(killed)} of {len(killed)}"


def main(words: list[str]) -> None:
    numbers = [int(word) for word in words if word.isdigit()]
    n_mutants, seed = *numbers, *(N_MUTANTS, SEED)[len(numbers) :]
    lines = print_rows(summarise(judge_mutants(n_mutants, seed), seed))
    if "--write" in words:
        write_table("mutation", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
