"""The site that `make docs` builds: pages from outside docs/, links between them, roles of docstrings as references."""

import logging
import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Page

from snnmap.lif.drc import RULES, format_rule

ROOT = Path(__file__).parents[1]
_LOG = logging.getLogger("mkdocs.plugins.snnmap")
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`~?([\w.]+)`")
_RULE_TABLE, _RULE_CELL = "snnmap/lif/drc/RULES.md", re.compile(r"^\| (SNN\d+) \|", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_MARKED_FENCE = re.compile(r"^(```\w+) .+$", re.MULTILINE)
"""Opening of a block whose language is followed by the environment of its tests, which the site takes for no block."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/: files of the repository, one a package of the API, and one a design rule."""
    for uri in _list_pages(config.nav):
        if uri.startswith("api/"):
            files.append(File.generated(config, uri, content=f"::: {Path(uri).stem}\n"))
        elif files.get_file_from_path(uri) is None:
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / uri)))
    for entry in RULES.values():
        files.append(File.generated(config, f"rules/{entry.id}.md", content=format_rule(entry)))
    for file in (*sorted((ROOT / "notebooks").glob("*.ipynb")), ROOT / "snnmap" / "findings" / "check.schema.json"):
        files.append(File.generated(config, file.relative_to(ROOT).as_posix(), abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links that hold in the repository into links of the site; what has no page there is no link; fences without marks."""
    folder = "" if page.file.generated_by else "docs"
    if page.file.src_uri == _RULE_TABLE:
        markdown = _RULE_CELL.sub(rf"| [\1]({posixpath.relpath('rules', posixpath.dirname(_RULE_TABLE))}/\1.md) |", markdown)
    markdown = _MARKED_FENCE.sub(r"\1", markdown)
    return _LINK.sub(lambda link: f"]({_move_link(link[1], folder, page.file.src_uri)}", markdown)


def _list_pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [uri for part in (nav.values() if isinstance(nav, dict) else nav) for uri in _list_pages(part)]


def _move_link(link: str, folder: str, page: str) -> str:
    here = posixpath.join(folder, page)
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
    return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(page) or ".")


class RoleReferences(griffe.Extension):
    """Write roles, such as :func:`load`, as references, and literal blocks and examples as the reader of docstrings has them."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite the docstrings of all objects, also of those that have no page: a role that names nothing is told."""
        for obj in _walk(pkg):
            if obj.docstring is not None:
                text = re.sub(r"::$", ":", obj.docstring.value, flags=re.MULTILINE)
                text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)
                obj.docstring.value = _ROLE.sub(lambda role, obj=obj: _refer(pkg, obj, role[1]), text)


def _walk(obj: griffe.Object) -> Iterator[griffe.Object]:
    yield obj
    for member in obj.members.values():
        if isinstance(member, griffe.Object):
            yield from _walk(member)


def _refer(package: griffe.Module, obj: griffe.Object, name: str) -> str:
    """Return a reference to what a role names; it is a link where that has a page."""
    target = next((path for path in _candidates(obj, name) if _holds(package, path)), None)
    if target is None:
        _LOG.warning("%s: %s names nothing: :role:`%s`", obj.relative_filepath, obj.path, name)
        target = name
    return f'<autoref identifier="{target}" optional>`{name}`</autoref>'


def _candidates(obj: griffe.Object, name: str) -> Iterator[str]:
    yield from (f"{scope.path}.{name}" for scope in (obj, obj.parent) if scope is not None)
    first, _, rest = name.partition(".")
    with suppress(griffe.NameResolutionError):
        yield f"{obj.resolve(first)}.{rest}".rstrip(".")
    yield name


def _holds(package: griffe.Module, path: str) -> bool:
    first, *rest = path.split(".")
    with suppress(KeyError, griffe.AliasResolutionError):
        return first == package.name and (not rest or package[rest] is not None)
    return False
