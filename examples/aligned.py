"""You want valid samples that are fair: masking alone draws them with the wrong probabilities.

    python examples/aligned.py
    python examples/aligned.py --align asap --n 500

A random model over three tokens, and a pattern that it seldom keeps to by itself. All its texts can
be listed, so that the bars can be compared with the exact law.
"""

import argparse
import re

import guided
from guided.testing import enumerate_sequences, table_model

PATTERN = "a(b|ab?)?|bb*a?"
PROMPT = "ab"
LONGEST = 5
WIDTH = 40


def exact_law(model: guided.Model) -> dict[str, float]:
    """The probability of every text that matches, among those that do."""
    law: dict[str, float] = {}
    prompt = model.encode(PROMPT)
    for tokens, chance in enumerate_sequences(model, prompt, max_new_tokens=LONGEST).items():
        text = model.decode(tokens)
        ends = tokens[-1] in model.vocabulary.stop_ids
        if ends and re.fullmatch(PATTERN, text):
            law[text] = law.get(text, 0.0) + chance
    total = sum(law.values())
    return {text: chance / total for text, chance in law.items()}


def shares(texts: list[str]) -> dict[str, float]:
    return {text: texts.count(text) / len(texts) for text in set(texts)}


def distance(law: dict[str, float], other: dict[str, float]) -> float:
    """Total variation."""
    return sum(abs(law.get(text, 0) - other.get(text, 0)) for text in {*law, *other}) / 2


def show(title: str, law: dict[str, float], exact: dict[str, float]) -> None:
    print(f"\n{title}: total variation to the exact law {distance(law, exact):.3f}")
    for text, chance in sorted(exact.items(), key=lambda pair: -pair[1]):
        share = law.get(text, 0.0)
        # The exact share as a mark on the bar.
        bar = ["█" if at < round(share * WIDTH) else " " for at in range(WIDTH)]
        bar[min(WIDTH - 1, round(chance * WIDTH))] = "│"
        print(f"{text:>5} {share:6.1%} {''.join(bar)}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--align", default="cars", help="asap, cars, mcmc, smc, awrs, rejection")
    parser.add_argument("--n", type=int, default=200, help="draws")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model = table_model(3, seed=26)
    exact = exact_law(model)
    call = {"regex": PATTERN, "max_new_tokens": LONGEST, "heal": False, "seed": options.seed}
    masked = guided.generate(model, PROMPT, n=options.n, temperature=1.0, **call)
    aligned = guided.run(model, PROMPT, n=options.n, align=options.align, **call)

    print(f"{options.n} draws; │ marks the exact probability")
    show("masked", shares(masked), exact)
    show(f"align={options.align}", shares([result.text for result in aligned]), exact)
    print(f"\n{aligned[0].certificate}")


if __name__ == "__main__":
    main()
