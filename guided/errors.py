"""Every error that guided raises on purpose.

::

    GuidedError
    ├── InputError (ValueError)            what the caller gave cannot work
    │   ├── SchemaError                    a JSON Schema; carries the JSON pointer
    │   │   ├── UnsupportedSchemaError     a keyword that cannot be enforced
    │   │   └── UnsatisfiableSchemaError   no document is valid
    │   ├── RegexError                     a regular expression; carries the column
    │   ├── GrammarError                   a grammar text; carries line and column
    │   │   └── EmptyGrammarError          the language has no word
    │   ├── GrammarTooLargeError           compiling would exceed a stated limit
    │   ├── VocabularyError                a tokenizer without byte mapping, widths that disagree
    │   ├── BudgetError                    no valid output fits into the token budget
    │   ├── ModelError                     not a decoder-only language model, and the like
    │   └── ControlError                   controls that contradict each other or their host
    ├── DecodingError                      something went wrong after decoding began
    │   ├── DeadEndError                   no token is allowed; carries the position
    │   ├── LogitsError                    NaN in the logits
    │   ├── OutOfMemoryError               no room for further keys and values
    │   └── RewardError                    a reward raised, or gave what is no score
    ├── MissingPackageError (ImportError)  an optional package is not installed
    └── ValidationFailedError (ValueError) the text is in the grammar, a validator refused it
"""

from __future__ import annotations

import os


class GuidedError(Exception):
    """Root of all errors raised by guided."""


class InputError(GuidedError, ValueError):
    """What the caller gave cannot work; raised before any forward pass."""


class SchemaError(InputError):
    """A JSON Schema is invalid. `pointer` is the JSON pointer of the offending place."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(f"{message} (at {pointer or '#'})")
        self.message = message
        self.pointer = pointer


class UnsupportedSchemaError(SchemaError):
    """A schema uses a keyword, or a combination of keywords, that cannot be enforced."""

    def __init__(self, message: str, pointer: str = "", keyword: str = "") -> None:
        super().__init__(message, pointer)
        self.keyword = keyword


class UnsatisfiableSchemaError(SchemaError):
    """No JSON document satisfies the schema."""


def _caret(text: str, offset: int) -> str:
    """The line of `text` that holds `offset`, with a caret below the column."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start : end if end >= 0 else len(text)]
    column = offset - start
    # A long line is shown in part, so that the caret stays in sight.
    left = max(0, column - 60)
    return f"  {line[left : left + 120]}\n  {' ' * (column - left)}^"


class RegexError(InputError):
    """A regular expression is invalid or unsupported. `column` counts from 0."""

    def __init__(self, message: str, pattern: str, column: int) -> None:
        super().__init__(f"{message} at column {column}\n{_caret(pattern, column)}")
        self.message = message
        self.pattern = pattern
        self.column = column


class GrammarError(InputError):
    """A grammar text is invalid. `line` and `column` count from 1 (0: unknown)."""

    def __init__(self, message: str, text: str = "", line: int = 0, column: int = 0) -> None:
        where = f" at line {line}, column {column}" if line else ""
        shown = ""
        if line and text:
            lines = text.split("\n")
            if line <= len(lines):
                shown = "\n" + _caret(lines[line - 1], max(0, column - 1))
        super().__init__(f"{message}{where}{shown}")
        self.message = message
        self.line = line
        self.column = column


class EmptyGrammarError(GrammarError):
    """The grammar accepts no text at all."""


class GrammarTooLargeError(InputError):
    """Compiling needs more states, items or time than the stated limit."""


class VocabularyError(InputError):
    """A tokenizer has no byte mapping, or sizes disagree."""


class BudgetError(InputError):
    """No valid output is known to fit. `needed` tokens suffice (0: unknown)."""

    def __init__(self, message: str, needed: int = 0) -> None:
        super().__init__(message)
        self.needed = needed


class ModelError(InputError):
    """The model cannot be used for this kind of decoding."""

    @classmethod
    def of_loading(cls, path_or_id: str, error: Exception) -> ModelError:
        """That a model or its tokenizer cannot be loaded; a folder that is missing is called so."""
        is_path = path_or_id.startswith(("/", ".", "~")) or path_or_id.count("/") > 1
        if is_path and not os.path.exists(path_or_id):
            return cls(f"cannot load {path_or_id!r}: there is no such folder")
        return cls(f"cannot load {path_or_id!r}: {error}")


class ControlError(InputError):
    """Controls that contradict each other or the place they run in."""


class DecodingError(GuidedError):
    """Decoding could not go on."""


class DeadEndError(DecodingError):
    """No token is allowed at a position. `position` counts generated tokens from 0."""

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(message)
        self.position = position


class LogitsError(DecodingError):
    """The model produced NaN logits."""


class OutOfMemoryError(DecodingError):
    """There was no room for further keys and values."""


class RewardError(DecodingError):
    """A reward raised an exception, or gave NaN, None or the wrong number of scores.

    `cause` is the reward's own exception, if it raised one.
    """

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class ValidationFailedError(GuidedError, ValueError):
    """The decoded text follows the grammar but a validator refused it.

    `text` is the decoded text and `cause` the validator's error.
    """

    def __init__(self, message: str, text: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.text = text
        self.cause = cause


class MissingPackageError(GuidedError, ImportError):
    """A feature needs a package that is not installed; the message says how to install it."""
