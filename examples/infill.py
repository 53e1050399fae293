"""Fills holes in a text so that the whole stays valid: with a causal and with a diffusion model.

    python examples/infill.py

The causal model fills the holes from left to right; every token is checked against the whole text,
fixed pieces behind the hole included. The masked-diffusion model fills all holes at once.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

import guided
from guided.infilling.infill import Infilled

MODELS = Path(__file__).parent / "models"


class Person(BaseModel):
    """What the text with its holes must become."""

    name: str
    age: int
    city: str


def show(title: str, found: Infilled) -> None:
    """Prints the text, and what was written into each hole."""
    print(f"{title}\n  {found.text}")
    for region in found.regions:
        print(f"    {region.begin:3}-{region.end:<3} {region.text!r} ({region.finish_reason})")
    print(f"  {found.value!r}, {found.usage.passes} passes")


def main() -> None:
    """Entry point."""
    text = '{"name": "<hole>", "age": <hole>, "city": "<hole>"}'
    fields = "Fields: name (string), age (integer), city (string)\nJSON: "

    causal = guided.load(str(MODELS / "tiny-lm"))
    note = "My name is Mira Sol, I'm 34 and I like chess and sailing. I live in Oslo."
    found = guided.infill(causal, text, schema=Person, prompt=f"{note}\n{fields}")
    show("causal", found)

    diffusion = guided.load(str(MODELS / "tiny-diffusion"))
    note = "The name is Peter. Aged 34. Lives in Boston."
    found = guided.infill(
        diffusion, text, schema=Person, prompt=f"{note}\n{fields}", max_new_tokens=[1, 2, 1]
    )
    show("masked diffusion", found)


if __name__ == "__main__":
    main()
