"""How many small changes of the design rules the tests notice: their mutation score.

A mutant changes one comparison, number, connective, negation or operator of ``snnmap/lif/drc``. The tests that run the changed
statement judge it, quickest first, in a fork of one warm process; a mutant that no test fails is a survivor, told on the error
stream. A mutant that runs on for ever is killed. Some survivors do the same as the source: they count as survivors, too.

Run with ``make mutation``; numbers on the command line are how many mutants and the seed by which they are drawn, ``--write``
writes the table.
"""

import ast
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NoReturn

import pytest
from measurements import Row, print_rows, write_table

FOLDER = Path("snnmap/lif/drc")
TESTS = ("tests/lif/drc", "tests/test_rules.py")
N_MUTANTS, SEED, LEAST = 250, 0, 0.85
PATIENCE_S, SLOWER = 10, 5
"""A mutant has so many seconds, and so many times those that its tests take without it."""

SWAPPED: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
RENAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A module's tree, and what takes the place of one of its nodes; the same node where nothing is changed."""

    name: str
    tree: ast.Module
    statement: ast.stmt
    node: ast.expr
    changed: ast.expr

    def __str__(self) -> str:
        return f"{self.name}.py:{self.node.lineno}: {ast.unparse(self.node)} -> {ast.unparse(self.changed)}"

    @property
    def path(self) -> str:
        return str((FOLDER / f"{self.name}.py").resolve())

    def compile(self) -> CodeType:
        tree = _Put(self.node, self.changed).visit(self.tree)
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self.old, self.new = old, ast.copy_location(new, old)

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def list_mutants() -> list[Mutant]:
    """List all mutants of all modules, in a fixed order."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
    trees = {name: ast.parse((FOLDER / f"{name}.py").read_text()) for name in names}
    return [
        Mutant(name, tree, statement, node, changed)
        for name, tree in trees.items()
        for statement in _list_statements(tree)
        for node in _walk(statement)
        for changed in _change(node)
    ]


def _list_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield all statements but definitions, whose decorators and defaults are told elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what belongs to a statement itself, not to those inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt):
            yield child
            yield from _walk(child)


def _change(node: ast.AST) -> Iterator[ast.expr]:
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


def _list_lines(mutant: Mutant) -> set[int]:
    """Return the lines of the changed statement; of one outside functions those of the statements that use its names."""
    if mutant.statement not in mutant.tree.body:
        return set(_span(mutant.statement))
    names = {node.id for node in ast.walk(mutant.statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    users = [s for s in _list_statements(mutant.tree) if names & {node.id for node in _walk(s) if isinstance(node, ast.Name)}]
    return {line for statement in users for line in _span(statement)}


def _span(statement: ast.stmt) -> range:
    body = getattr(statement, "body", None)
    return range(statement.lineno, body[0].lineno if body else (statement.end_lineno or statement.lineno) + 1)


def _install(mutant: Mutant) -> None:
    """Run the mutant in its module's place; what others hold of the module from before does what the new one does."""
    names = vars(sys.modules[".".join((*FOLDER.parts, mutant.name))])
    before = dict(names)
    exec(mutant.compile(), names)
    for name, old in before.items():
        _graft(old, names[name])


def _graft(old: object, new: object) -> None:
    old, new = getattr(old, "check", old), getattr(new, "check", new)  # a rule is what it checks
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        old.__code__ = new.__code__


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
        for item in session.items:
            self._trace(item)
        print(f"{len(self._seconds)} tests, {sum(self._seconds.values()):.0f} s", file=sys.stderr, flush=True)
        self._require_survivors()
        for mutant in self.mutants:
            self.killed[mutant] = not self._survives([mutant])
            print("killed  " if self.killed[mutant] else "SURVIVED", mutant, file=sys.stderr, flush=True)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._in_fork:
            os._exit(1)
        if report.failed:
            raise SystemExit(f"a test fails without a mutant: {report.nodeid}\n{report.longreprtext}")

    def _trace(self, item: pytest.Item) -> None:
        """Run a test; note how long it takes and which lines of the rules it runs."""

        def trace(frame: FrameType, *_: object) -> Any:
            if frame.f_code.co_filename not in self._files:
                return None
            self._tests[frame.f_code.co_filename, frame.f_lineno].add(item)
            return trace

        start, outer = time.perf_counter(), sys.gettrace()
        sys.settrace(trace)
        try:
            _run(item)
        finally:
            sys.settrace(outer)
        self._seconds[item] = time.perf_counter() - start

    def _require_survivors(self) -> None:
        """Check that modules that are put in their own place unchanged fail no test."""
        modules = {mutant.name: mutant for mutant in self.mutants}.values()
        unchanged = [Mutant(m.name, m.tree, m.statement, m.node, m.node) for m in modules]
        if not self._survives(unchanged, self._seconds):
            raise SystemExit("a test fails in a fork, without a mutant")

    def _survives(self, mutants: list[Mutant], tests: Iterable[pytest.Item] | None = None) -> bool:
        """Say whether no test fails, in a fork that has mutants in place."""
        if tests is None:
            tests = {test for m in mutants for line in _list_lines(m) for test in self._tests[m.path, line]}
        ordered = self._order(tests)
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1] == 0
        signal.alarm(PATIENCE_S + int(SLOWER * sum(self._seconds[test] for test in ordered)))
        self._in_fork = True
        try:
            _be_quiet()
            for mutant in mutants:
                _install(mutant)
            for test in ordered:
                _run(test)
            os._exit(0)
        finally:
            os._exit(1)


def _run(item: pytest.Item) -> None:
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def _be_quiet() -> None:
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    subprocess.Popen = _skip  # type: ignore[assignment,misc]


def _skip(*_: object, **__: object) -> NoReturn:
    pytest.skip("another process would run the source, not the mutant")


def measure(n_mutants: int, seed: int) -> Iterator[Row]:
    drawn = random.Random(seed).sample(list_mutants(), n_mutants)
    judge = Judge(drawn)
    os.environ["CI"] = "1"  # hypothesis draws the same examples in every run, and keeps none
    pytest.main([*TESTS, "-s", "-p", "no:cacheprovider", "-m", "not nightly"], plugins=[judge])
    for name in (*sorted({mutant.name for mutant in drawn}), ""):
        mine = [killed for mutant, killed in judge.killed.items() if name in ("", mutant.name)]
        what = f"`{name}.py`" if name else f"all rules, seed {seed}"
        share = sum(mine) / len(mine)
        yield f"{what}: mutants that a test fails", f"{sum(mine)} of {len(mine)}, {share:.0%}", "" if name else f">= {LEAST:.0%}"


def main(words: list[str]) -> None:
    numbers = [int(word) for word in words if word.isdigit()]
    lines = print_rows(measure(*[*numbers, *(N_MUTANTS, SEED)[len(numbers) :]]))
    if "--write" in words:
        write_table("mutation", lines)


if __name__ == "__main__":
    main(sys.argv[1:])
