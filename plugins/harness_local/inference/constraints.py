"""Answers that fit a JSON schema: which tokens may come next.

`llguidance` walks the schema's grammar along the answer. Where the text that follows is certain, such as
``{"label": "``, its tokens are known without asking the model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness_local.models.tokens import Codec

if TYPE_CHECKING:
    from llguidance import LLParserLimits
    from llguidance._lib import JsonCompileOptions

_LONGEST = 65_536  # characters of a schema
_KEPT = 16  # schemas


class ConstraintError(Exception):
    """A schema that answers cannot be held to; the message says why."""


class Matcher:
    """One answer's way through its schema.

    Args:
        matcher: An `llguidance` matcher of its own.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def complete(self) -> bool:
        """Whether nothing may follow any more."""
        return bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        """Takes the tokens that alone can come next, possibly none, and returns them."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        for token in tokens:
            self.take(token)
        return tokens

    def take(self, token: int) -> None:
        """Goes on by one token.

        Raises:
            ConstraintError: It may not come here, or the schema has become too complex.
        """
        if not self._matcher.consume_token(token):
            raise ConstraintError(_reason(self._matcher))

    def mask(self, logits: Any) -> Any:
        """A copy of one row of logits in which tokens that may not come next are minus infinity.

        Raises:
            ConstraintError: The schema has become too complex.
        """
        import numpy as np
        import torch

        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise ConstraintError(_reason(self._matcher))
        allowed = torch.from_numpy(np.unpackbits(bits, count=len(logits), bitorder="little").view(bool))
        return logits.masked_fill(~allowed.to(logits.device), -torch.inf)


class Constraints:
    """Schemas as matchers for one model's tokens; may be used by several threads.

    Nothing is built before the first schema comes: reading the vocabulary takes most of a second.

    Args:
        codec: The model's tokenizer.
        ends: Tokens that end an answer.
        vocabulary: Number of the model's logits.
    """

    def __init__(self, codec: Codec, ends: Iterable[int], vocabulary: int) -> None:
        self._codec, self._ends, self._vocabulary = codec, sorted(ends), vocabulary
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._known = lru_cache(_KEPT)(self._compiled)

    def check(self, schema: str) -> None:
        """Makes sure that answers can be held to a schema.

        Args:
            schema: JSON text.

        Raises:
            ConstraintError: It is no valid schema, or asks for what is not supported or for too much.
        """
        self.matcher(schema)

    def matcher(self, schema: str) -> Matcher:
        """A matcher at the beginning of an answer.

        Raises:
            ConstraintError: As for `check`.
        """
        with self._lock:  # else the vocabulary could be read twice, and a matcher copied by two at once
            return Matcher(self._known(schema).deep_copy())

    def _compiled(self, schema: str) -> Any:
        from llguidance import LLMatcher

        if len(schema) > _LONGEST:
            raise ConstraintError(f"the schema is longer than {_LONGEST:,} characters")
        try:
            table = json.loads(schema)
            if not isinstance(table, dict):
                raise ConstraintError("the schema must be a JSON object")
            if "x-guidance" in table:
                raise ConstraintError("'x-guidance' is not supported")
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=_style())
        except (ValueError, RecursionError) as error:
            raise ConstraintError(_short(str(error))) from None
        matcher = LLMatcher(self._words(), grammar, log_level=0, limits=_limits())
        trial = matcher.deep_copy()
        if not trial.is_error():
            trial.compute_bitmask()  # that nothing fits a schema is noticed at the first token alone
        if trial.is_error():
            raise ConstraintError(_reason(trial))
        return matcher

    def _words(self) -> Any:
        """The vocabulary as `llguidance` holds it."""
        from llguidance import LLTokenizer

        if self._tokenizer is None:
            try:
                self._tokenizer = LLTokenizer(
                    self._codec.serialized,
                    n_vocab=self._vocabulary,
                    eos_token=list(self._ends),
                    slices=LLTokenizer.json_slices(),
                )
            except ValueError as error:
                raise ConstraintError(f"this model's tokenizer cannot be constrained: {error}") from None
        return self._tokenizer


def _style() -> JsonCompileOptions:
    """How answers are written: as Python's `json.dumps` does it, which is what most training files hold.

    Were any white space allowed, a small model would not stop writing it.
    """
    return {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "lenient": False}


def _limits() -> LLParserLimits:
    """What a schema may cost: about 20 ms to read, 10 ms for each token and 20 MB, each at the most."""
    from llguidance import LLParserLimits

    return LLParserLimits(
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=100_000,
        step_max_items=50_000,
        max_lexer_states=10_000,
        max_grammar_size=50_000,
        verbose_errors=False,
    )


def _reason(matcher: Any) -> str:
    stopped = matcher.stop_reason() if matcher.is_error() else ""
    return _short(matcher.get_error().replace("<non-verbose/>", "").strip() or stopped)


def _short(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "the schema cannot be read"
    return first if len(first) <= 300 else first[:299] + "…"
