"""How a question is put to a model."""

from __future__ import annotations

from dataclasses import dataclass

from guided.errors import InputError
from guided.model import Model, Prompt

#: What math models are usually told, and what most process reward models have seen.
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."
PLAIN = "Question: {question}\n"


@dataclass(frozen=True, slots=True)
class Prompting:
    """A question as chat messages, or put into a plain text.

    Args:
        template: a text with {question}; None: chat messages.
        system: the system's message; "" for none.

    Raises:
        InputError: a template without {question}.
    """

    template: str | None = None
    system: str = SYSTEM

    def __post_init__(self) -> None:
        if self.template is not None and "{question}" not in self.template:
            raise InputError(f"the prompt {self.template!r} needs {{question}} where it stands")

    @classmethod
    def for_model(cls, model: Model) -> Prompting:
        """Chat messages for a model with a chat template, else "Question: …" and a line break."""
        if getattr(model.tokenizer, "chat_template", None):
            return cls()
        return cls(PLAIN)

    def __call__(self, question: str) -> Prompt:
        """The prompt of a question."""
        if self.template is not None:
            # No str.format: a question may hold braces.
            return self.template.replace("{question}", question)
        messages = [{"role": "user", "content": question}]
        return [{"role": "system", "content": self.system}, *messages] if self.system else messages
