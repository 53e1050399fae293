"""generate and run: prompts in, typed values or full results out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from guided.decoding import Decoder
from guided.diffusion.result import DiffusionResult
from guided.diffusion_model import DiffusionModel
from guided.drafting import speculation
from guided.errors import InputError, OutOfMemoryError
from guided.kinds import Kind, of_kind
from guided.model import Message, Model, Prompt, is_many
from guided.options import Align, Options, Settings
from guided.result import Result
from guided.row_decoder import RowDecoder
from guided.rows import make_rows
from guided.trace import Trace

if TYPE_CHECKING:
    from guided.diffusion.decodings import Decoding

T = TypeVar("T")
One = str | list[Message]
Many = list[str] | list[list[Message]]


class BatchOptions(Options, total=False):
    """What `generate` and `run` take besides."""

    retries: int
    batch_size: int
    align: Align
    trace: Trace | None
    kind: Kind
    decoding: Decoding | None


@overload
def generate(  # type: ignore[overload-overlap]
    model: Model,
    prompt: One,
    *,
    schema: type[T],
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> T: ...
@overload
def generate(
    model: Model,
    prompt: One,
    *,
    schema: type[T],
    n: int,
    **options: Unpack[BatchOptions],
) -> list[T]: ...
@overload
def generate(  # type: ignore[overload-overlap]
    model: Model,
    prompt: Many,
    *,
    schema: type[T],
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> list[T]: ...
@overload
def generate(
    model: Model,
    prompt: Many,
    *,
    schema: type[T],
    n: int,
    **options: Unpack[BatchOptions],
) -> list[list[T]]: ...
@overload
def generate(  # type: ignore[overload-overlap]
    model: Model,
    prompt: One,
    *,
    schema: None = None,
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> str: ...
@overload
def generate(
    model: Model,
    prompt: One,
    *,
    schema: None = None,
    n: int,
    **options: Unpack[BatchOptions],
) -> list[str]: ...
@overload
def generate(  # type: ignore[overload-overlap]
    model: Model,
    prompt: Many,
    *,
    schema: None = None,
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> list[str]: ...
@overload
def generate(
    model: Model,
    prompt: Many,
    *,
    schema: None = None,
    n: int,
    **options: Unpack[BatchOptions],
) -> list[list[str]]: ...
@overload
def generate(
    model: Model, prompt: One | Many, *, schema: Any, n: int = 1, **options: Unpack[BatchOptions]
) -> Any: ...
def generate(
    model: Model,
    prompt: One | Many,
    *,
    schema: Any = None,
    n: int = 1,
    **options: Unpack[BatchOptions],
) -> Any:
    """The value that the model writes: parsed and validated, or text where nothing is asked for.

    A list of `n` values where `n > 1`; a list with one entry for every prompt of a list.

    Args:
        prompt: text or chat messages, or a list of either.
        schema: the output type, see `guided.options.Settings`, which lists all options.

    Raises:
        InputError: an argument cannot work; raised before any forward pass. Finer: SchemaError,
            RegexError, GrammarError, BudgetError (max_new_tokens too few; says how many
            suffice), ControlError, VocabularyError.
        ValidationFailedError: a validator refused the value, `retries` times again.
        ModelError: a model of another kind than `kind` says.
        DecodingError: the controls left no token, the model gave NaN, memory ran out, or a canvas
            could not be filled (`run` returns what there is of it).
        KeyboardInterrupt: Ctrl-C; `run` returns what there is instead.

    Example:
        >>> import guided, guided.testing
        >>> model = guided.testing.fake_model("[1, 2, 3]")
        >>> guided.generate(model, "Count: ", schema=list[int])
        [1, 2, 3]
    """
    settings = Settings(schema=schema, n=n, **options)
    results = _results(model, prompt, settings)
    if any(result.finish_reason == "interrupt" for result in results):
        raise KeyboardInterrupt
    if any(result.finish_reason == "memory" for result in results):
        raise OutOfMemoryError(
            "memory ran out while decoding; `run` returns what there is. Lower batch_size or "
            "max_new_tokens, or set kv_limit"
        )
    if any(isinstance(result.certificate, DiffusionResult) for result in results):
        from guided.denoising import check_complete

        check_complete(results)
    if _is_aligned(settings):
        from guided.alignment import check_whole

        check_whole(results)
    return _shaped([result.value for result in results], n, is_many(prompt))


@overload
def run(  # type: ignore[overload-overlap]
    model: Model,
    prompt: One,
    *,
    schema: type[T],
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> Result[T]: ...
@overload
def run(  # type: ignore[overload-overlap]
    model: Model,
    prompt: One,
    *,
    schema: Any = None,
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> Result[Any]: ...
@overload
def run(
    model: Model,
    prompt: One,
    *,
    schema: type[T],
    n: int,
    **options: Unpack[BatchOptions],
) -> list[Result[T]]: ...
@overload
def run(
    model: Model,
    prompt: One,
    *,
    schema: Any = None,
    n: int,
    **options: Unpack[BatchOptions],
) -> list[Result[Any]]: ...
@overload
def run(  # type: ignore[overload-overlap]
    model: Model,
    prompt: Many,
    *,
    schema: type[T],
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> list[Result[T]]: ...
@overload
def run(  # type: ignore[overload-overlap]
    model: Model,
    prompt: Many,
    *,
    schema: Any = None,
    n: Literal[1] = 1,
    **options: Unpack[BatchOptions],
) -> list[Result[Any]]: ...
@overload
def run(
    model: Model,
    prompt: Many,
    *,
    schema: type[T],
    n: int,
    **options: Unpack[BatchOptions],
) -> list[list[Result[T]]]: ...
@overload
def run(
    model: Model,
    prompt: Many,
    *,
    schema: Any = None,
    n: int,
    **options: Unpack[BatchOptions],
) -> list[list[Result[Any]]]: ...
def run(
    model: Model,
    prompt: One | Many,
    *,
    schema: Any = None,
    n: int = 1,
    **options: Unpack[BatchOptions],
) -> Any:
    """What `generate` does, as a `Result` (in the same lists), which has value, text, tokens, ….

    Ctrl-C gives the results so far; what was cut short has finish reason "interrupt", and
    "memory" where memory ran out.
    """
    results = _results(model, prompt, Settings(schema=schema, n=n, **options))
    return _shaped(results, n, is_many(prompt))


def _results(model: Model, prompt: One | Many, settings: Settings) -> list[Result[Any]]:
    model = settings.over(of_kind(model, settings.kind))
    prompts: list[Prompt] = list(prompt) if is_many(prompt) else [prompt]  # type: ignore[arg-type,list-item]
    outputs = settings.outputs(len(prompts), is_many(prompt))
    # Canvases and searches are loaded where they are needed.
    if isinstance(model, DiffusionModel):
        from guided.denoising import canvas_results

        return canvas_results(model, prompts, outputs, settings)
    if settings.decoding is not None:
        raise InputError(
            f"decoding={settings.decoding!r} is for masked-diffusion models; {model!r} is causal"
        )
    if _is_aligned(settings):
        from guided.alignment import aligned_results

        return aligned_results(model, prompts, outputs, settings)
    sampler, controls = settings.sampling.choose(model.generation_config, settings.controls)
    if not sampler.is_random:
        settings.check_greedy()
    rows = make_rows(model, prompts, outputs, settings, [*settings.controls, *controls])
    decoder = Decoder(
        model.network,
        model.vocabulary,
        sampler,
        speculation=speculation(model, settings.draft),
        kv_limit=settings.kv_limit,
    )
    return RowDecoder(decoder, rows, settings).run()


def _is_aligned(settings: Settings) -> bool:
    if settings.align == "none":
        if settings.trace is not None:
            raise InputError("trace= records the draws of align=; searches take it in their run")
        return False
    from guided.alignment import is_aligned

    return is_aligned(settings.align)


def _shaped(values: list[Any], n: int, is_many: bool) -> Any:
    grouped = [values[at : at + n] if n > 1 else values[at] for at in range(0, len(values), n)]
    return grouped if is_many else grouped[0]
