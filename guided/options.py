"""Everything that can be said about a call of `generate`, and its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypedDict

from guided.controls.over import over
from guided.controls.protocol import Control
from guided.drafting import Draft
from guided.errors import InputError
from guided.grammars.grammar import Grammar
from guided.kinds import Kind, check_kind
from guided.model import Model
from guided.outputs import FREE_TEXT, JsonForm, Output, output_of
from guided.prompts import Describe
from guided.sampling import SamplingOptions
from guided.trace import Trace

if TYPE_CHECKING:
    from guided.diffusion.decodings import Decoding

#: How an aligned sampler gives its draws; see `guided.search.Search.aligns`.
Aligns = Literal["", "draws", "particles"]


class Aligned(Protocol):
    """A sampler for `align=`: `guided.search.ASAp` and its like."""

    aligns: ClassVar[Aligns]


Align = Literal["none", "asap", "cars", "ars", "rejection", "awrs", "smc", "mcmc"] | Aligned


class Options(TypedDict, total=False):
    """Keyword arguments shared by `generate`, `run` and `stream`; `Settings` explains them."""

    regex: str | list[str | None] | None
    grammar: str | Grammar | list[str | Grammar | None] | None
    choices: Sequence[str] | list[list[str] | None] | None
    controls: Sequence[Control]
    describe: Describe | None
    whitespace: str
    property_order: str
    on_unsupported: str
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    seed: int
    max_new_tokens: int | None
    stop: str | Sequence[str]
    after: str | None
    thinking_budget: int | None
    heal: bool
    chat_options: Mapping[str, Any] | None
    draft: Draft
    kv_limit: int | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of a call.

    What the output is — at most one of:

    Args:
        schema: pydantic model, dataclass, TypedDict, Enum, Literal, union, `list[…]`, `dict[…]`,
            a function (its arguments), or a JSON Schema as dict or text. A list gives one for
            every prompt (None: free text); so for the next three.
        regex: a Python regular expression that the whole text matches.
        grammar: a Lark grammar, or a compiled `Grammar`.
        choices: the text is one of these.

    How it is asked for:

    Args:
        describe: writes the schema into the prompt: "fields", "json_schema", a template with
            {prompt}, {fields}, {schema}, or a function of the text and the JSON Schema.
        whitespace: "flexible" (at most one space between tokens), "compact", "spaced" (as
            json.dumps), "indented", "any".
        property_order: "schema" or "any".
        on_unsupported: "error", or "warn" to go on without a keyword that cannot be enforced.
        after: free text (thinking) up to and including this trigger, then the structure.
        thinking_budget: most tokens of that free text before the trigger is forced.
        chat_options: further arguments for the chat template.

    How it is drawn — what is None follows the model's generation config (where that has no top_k,
    none is applied, while transformers falls back to 50):

    Args:
        temperature: 0 is greedy, and so is None where the config does not sample.
        seed: equal seeds give equal outputs, alone or in a batch.
        n: sequences for every prompt.
        max_new_tokens: the stop token counts; 256 if the config sets none. A constrained output
            is complete within it.
        stop: strings that end the text; they are not part of it. Not with schema or choices.
        controls: further controls on every sequence.
        draft: where guesses at coming tokens come from, which save passes and change no output:
            "auto" (the grammar, the prompt, earlier text; as far as they pay), a small
            `guided.Model` with the same vocabulary besides, a drafter, a `Speculation`, or None
            for one token a pass.
        kv_limit: most bytes of keys and values; fewer sequences are decoded at a time then.
        heal: whether the last token of a text prompt may grow into a longer one.
        retries: how often to decode again where a validator refuses the value (needs sampling).
        batch_size: most sequences decoded at a time.
        align: "none", or how to draw from the model's own law conditioned on the output type,
            which a mask alone distorts: "asap", "cars", "ars", "rejection", "mcmc", "awrs", "smc",
            or one of `guided.search` with its settings, like ASAp(tries=...). The temperature is
            1 then where neither it nor a config that samples gives another, and truncation is
            what the call itself asks for. Results carry a certificate.
        trace: where the draws are recorded, with align.

    About the model:

    Args:
        kind: "causal" or "masked-diffusion" refuses a model of the other kind.
        decoding: how a masked-diffusion model decodes, `guided.diffusion.FreeDave(d=4)` and the
            like; temperature and the rest belong into it then. One slot a pass if not given.
    """

    schema: Any = None
    regex: Any = None
    grammar: Any = None
    choices: Any = None
    controls: Sequence[Control] = ()
    describe: Describe | None = None
    whitespace: str = "flexible"
    property_order: str = "schema"
    on_unsupported: str = "error"
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int = 0
    n: int = 1
    max_new_tokens: int | None = None
    stop: str | Sequence[str] = ()
    after: str | None = None
    thinking_budget: int | None = None
    heal: bool = True
    chat_options: Mapping[str, Any] | None = None
    draft: Draft = "auto"
    kv_limit: int | None = None
    retries: int = 0
    batch_size: int = 32
    align: Align = "none"
    trace: Trace | None = None
    kind: Kind = "auto"
    decoding: Decoding | None = None
    stops: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("retries", 0), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, not {getattr(self, name)}")
        check_kind(self.kind)
        if self.kv_limit is not None and self.kv_limit < 1:
            raise InputError(f"kv_limit must be a number of bytes, not {self.kv_limit}")
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        object.__setattr__(self, "stops", stops)
        if stops and (self.schema is not None or self.choices is not None):
            raise InputError("stop strings would cut a schema or choice; they go with other text")
        if self.thinking_budget is not None and self.after is None:
            raise InputError("thinking_budget needs after=, the trigger that ends the thinking")

    def check_greedy(self) -> None:
        """Refuses what would give the same greedy output again.

        Raises:
            InputError: several outputs, or retries.
        """
        for name, value, least in (("n", self.n, 1), ("retries", self.retries, 0)):
            if value > least:
                raise InputError(
                    f"{name}={value} would give the same greedy output again; "
                    "give a temperature above 0"
                )

    def over(self, model: Model) -> Model:
        """The model that the controls work on, made of the caller's: mostly that one.

        Raises:
            ControlError: options or controls about the tokens of a model that it is not.
        """
        found: Model = over(model, self.controls, self.repetition_penalty)
        return found

    @property
    def sampling(self) -> SamplingOptions:
        """The options that choose tokens."""
        return SamplingOptions(
            self.temperature, self.top_p, self.top_k, self.min_p, self.repetition_penalty
        )

    def outputs(self, prompts: int, is_list: bool) -> list[Output]:
        """One output for every prompt.

        Raises:
            InputError: a list of output types whose length is not the number of prompts, two kinds
                of output, or one that cannot be used.
        """
        form = JsonForm(self.whitespace, self.property_order, self.on_unsupported)
        kinds = {
            "schema": self.schema, "regex": self.regex,
            "grammar": self.grammar, "choices": self.choices,
        }  # fmt: skip
        given = {name: value for name, value in kinds.items() if value is not None}
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} contradict each other; give one of them")
        if not given:
            outputs = [FREE_TEXT] * prompts
        else:
            ((name, value),) = given.items()
            outputs = self._outputs(name, value, form, prompts, is_list)
        if self.describe is not None and all(output.schema is None for output in outputs):
            raise InputError("describe= needs a schema or choices to write into the prompt")
        if self.after is not None and any(output.grammar is None for output in outputs):
            raise InputError("after= needs schema, regex, grammar or choices for what follows")
        return outputs

    def _outputs(
        self, name: str, value: Any, form: JsonForm, prompts: int, is_list: bool
    ) -> list[Output]:
        if not _is_per_prompt(name, value):
            return [output_of(**{name: value}, form=form)] * prompts
        if not is_list or len(value) != prompts:
            raise InputError(
                f"{name} is a list of {len(value)} but there "
                f"{'are ' + str(prompts) + ' prompts' if is_list else 'is one prompt'}; "
                "give one for each prompt of a list"
            )
        return [output_of(**{name: each}, form=form) for each in value]


def _is_per_prompt(name: str, value: Any) -> bool:
    if name == "choices":
        return not isinstance(value, str) and not all(isinstance(each, str) for each in value)
    return isinstance(value, list)
