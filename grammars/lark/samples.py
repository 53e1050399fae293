"""The Lark grammars that come with guided."""

from importlib.resources import files

from guided.grammars.lark.frontend import lark
from guided.grammars.samples import Sample, Samples

_SAMPLES = Samples(files(__package__) / "examples", "lark", lark)


def sample_names() -> list[str]:
    """The names of all sample grammars."""
    return _SAMPLES.names()


def sample(name: str) -> Sample:
    """The sample grammar `name`; raises GrammarError if there is none."""
    return _SAMPLES.named(name)
