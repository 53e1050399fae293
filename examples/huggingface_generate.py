"""You want to keep Hugging Face `generate`: one logits processor, under beams and drafts too.

python examples/huggingface_generate.py
"""

import argparse
from pathlib import Path

from pydantic import BaseModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from guided import GuidedLogitsProcessor

TINY = Path(__file__).parent / "models" / "tiny-lm"
TEXTS = [
    "Walter Brandt, 71, is a retired teacher whose great passion is gardening.",
    "hey, i'm Priya, 29, i love bouldering and baking sourdough!",
]
BUDGET = 64


class Person(BaseModel):
    name: str
    age: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=str(TINY), help="a folder or a Hub id")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype="float32")
    prompts = [f"{text}\nFields: name (string), age (integer)\nJSON: " for text in TEXTS]
    processor = GuidedLogitsProcessor(Person, tokenizer, max_new_tokens=BUDGET)

    def show(title: str, prompts: list[str], **how: object) -> None:
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        rows = model.generate(**inputs, max_new_tokens=BUDGET, logits_processor=[processor], **how)
        print(title)
        for row in rows[:, inputs["input_ids"].shape[1] :]:
            text = tokenizer.decode(row, skip_special_tokens=True)
            print(f"  {Person.model_validate_json(text)!r}")

    show("greedy, a left-padded batch", prompts)
    show("beam search, two beams returned", prompts, num_beams=4, num_return_sequences=2)
    show("sampling", prompts, do_sample=True)
    show("prompt lookup", prompts[:1], prompt_lookup_num_tokens=5)


if __name__ == "__main__":
    main()
