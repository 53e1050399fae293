"""The JSON Schema of a Python type, closer to what its validator takes than pydantic's own.

Pydantic describes what it accepts loosely where JSON Schema has no exact words: any string for a
decimal, any scheme for a web address. A model under a mask would be led into texts that are
refused afterwards. Where the schema asks for more than the validator (distinct items of a set,
which are merged anyway), that is left out.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9\-]{0,61}[A-Za-z0-9])?"
_NUMBER = r"\d+(\.\d+)?(e-?\d{1,2})?"


class TypeJsonSchema(GenerateJsonSchema):
    """Pydantic's generator with the schemas of some types made exact."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number; its digits are kept exactly."""
        described = super().decimal_schema(schema)
        number: JsonSchemaValue = described["anyOf"][0] if "anyOf" in described else described
        return number

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:
        """A string such as 1.5-2j."""
        return {"type": "string", "pattern": f"^-?{_NUMBER}([+\\-]{_NUMBER}j)?$"}

    def set_schema(self, schema: core_schema.SetSchema) -> JsonSchemaValue:
        """An array; equal items become one, which only a least number of items forbids."""
        return _without_distinct(super().set_schema(schema))

    def frozenset_schema(self, schema: core_schema.FrozenSetSchema) -> JsonSchemaValue:
        """As a set."""
        return _without_distinct(super().frozenset_schema(schema))

    def url_schema(self, schema: core_schema.UrlSchema) -> JsonSchemaValue:
        """Where schemes are given, an address of one of them with a host name and no user.

        The greatest length is left to the validator.
        """
        described = super().url_schema(schema)
        described.pop("maxLength", None)
        schemes = schema.get("allowed_schemes")
        if not schemes:
            return described
        scheme = "|".join(re.escape(name) for name in schemes)
        host = rf"{_LABEL}(\.{_LABEL}){{0,8}}(:\d{{1,4}})?"
        path = r"([/?#]([A-Za-z0-9\-._~!$&'()*+,;=:@/?#]|%[0-9A-Fa-f]{2})*)?"
        return {"type": "string", "pattern": f"^({scheme})://{host}{path}$"}


def _without_distinct(described: dict[str, Any]) -> dict[str, Any]:
    if described.get("minItems", 0) <= 1:
        described.pop("uniqueItems", None)
    return described
