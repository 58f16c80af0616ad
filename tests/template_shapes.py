# SPDX-License-Identifier: Apache-2.0
"""What templates of CloudFormation hold, as CodePipeline's API spells it; and an odd declaration."""

from __future__ import annotations

from typing import Any

#: Texts that mean something to a template, and those that no editor shows.
ODD = {
    "category": "Test",
    "provider": "Odd",
    "settings": {"executionUrlTemplate": "https://example.com/{Config:Target}?a=$${x}&b=${y}&c=%{if}"},
    "configurationProperties": [
        {
            "name": "Target",
            "description": '"Quoted"\n\\ and \u2028 é 😀 $${a} ${b} $$ {c} %%{d} %{e} # \x07\x85',
            "required": True,
            "queryable": True,
        }
    ],
    "tags": {"for": "${z}", "Team a/b": ""},
}


def in_api_spelling(properties: Any) -> Any:
    """Return the properties of a resource with the names of CodePipeline's API; what users name stays."""
    if isinstance(properties, list):
        return [in_api_spelling(each) for each in properties]
    if not isinstance(properties, dict):
        return properties
    return {
        name[0].lower() + name[1:]: value if name == "Configuration" else in_api_spelling(value)
        for name, value in properties.items()
    }
