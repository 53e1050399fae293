"""A typed object out of a masked-diffusion model, and what each accelerator saves.

    python examples/diffusion.py

The call is that of any other model. `decoding=` says how the canvas is filled: one slot a pass, or
as many as the model is sure of, or several steps drafted and verified in one pass.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

import guided
from guided.diffusion import Decoding, EntropyBound, FastDLLM, FreeDave, LLaDA

MODEL = Path(__file__).parent / "models" / "tiny-diffusion"
WAYS: dict[str, Decoding] = {
    "one slot a pass": LLaDA(),
    "FreeDave(d=4)": FreeDave(d=4),
    "FastDLLM(threshold=0.9)": FastDLLM(threshold=0.9),
    "EntropyBound(gamma=0.1)": EntropyBound(gamma=0.1),
}


class Order(BaseModel):
    """What a note says."""

    item: str
    quantity: int


def main() -> None:
    """Entry point."""
    model = guided.load(str(MODEL))
    note = "For Nina. The guitar was sold. Quantity 12."
    for name, way in WAYS.items():
        result = guided.run(model, note, schema=Order, describe="fields", decoding=way)
        print(f"{name:24} {result.value!r}  {result.usage.passes} passes")

    prompt = 'Shuffle: ["bell", "castle", "bird", "candle"]\nList: '
    for name, way in WAYS.items():
        result = guided.run(model, prompt, schema=list[str], decoding=way, max_new_tokens=16)
        print(f"{name:24} {result.text}  {result.usage.passes} passes")


if __name__ == "__main__":
    main()
