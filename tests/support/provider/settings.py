"""What the fake provider is, and what goes wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INFERENCE = ("/v1/chat/completions", "/v1/completions")


@dataclass(slots=True, kw_only=True)
class Settings:
    """What the provider is and what goes wrong with it. Rates lie between 0 and 1."""

    # --- what it is -------------------------------------------------------------------------------------------------
    seed: int = 0
    models: tuple[str, ...] = ("base-model", "gpt-4.1-mini", "gpt-4.1-nano", "babbage-002")
    """Base models; each can be trained."""
    shutdown_dates: Mapping[str, str] = field(default_factory=dict)
    """Model → ISO date, shown by ``/v1/models``."""
    api_key: str | None = None
    """The only key that is let in; `None` lets everybody in."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Answer key: bare text → label. The key that ends last in a prompt is the item that is asked about."""
    labels: tuple[str, ...] = ()
    """By default the labels of the answer key; without a key negative, neutral, positive."""
    accuracy: float = 0.6
    """Share of right answers of a base model whose prompt shows no shot."""
    few_shot_accuracy: float | None = None
    """… whose prompt holds another text of the answer key; `None`: as `accuracy`."""
    tuned_accuracy: float = 0.9
    """… of a trained model."""
    accuracy_of: Mapping[str, float] = field(default_factory=dict)
    """Part of a trained model's name → its share of right answers."""
    answer_template: str = "{label}"
    """What a base model's answer looks like, e.g. ``The answer is {label}.``"""
    unparsed_rate: float = 0.0
    """Base models: answers that name no label."""
    flip_rate: float = 0.0
    """Share of the answers that are drawn anew when the same question comes again."""
    usage: bool = True
    """Whether `usage` is filled in."""
    vocabulary: str | None = None
    """What `usage` counts in, e.g. ``o200k_base``, with OpenAI's tokens around messages; `None`: words."""
    cached_share: float | None = None
    """Share of the prompt's tokens that is reported as cached; `None` leaves the detail out."""
    reasoning_tokens: int | None = None
    """Reported, and counted among the completion's tokens."""
    without: tuple[str, ...] = ()
    """Parameters that are refused with 400 ``unsupported_parameter`` (``echo``, ``temperature``, …); also
    ``chat``, ``completions``, ``files``, ``fine_tuning``, ``batches``, ``models``, ``events``, ``checkpoints``,
    ``file content``: routes that are not there (404), and ``file list`` (405) and ``metadata filter`` (400)."""
    ignores: tuple[str, ...] = ()
    """Parameters that are passed over in silence (``logprobs``, ``echo``, …, ``metadata filter``, ``after``)."""

    embedding_models: tuple[str, ...] = ("embedding-model",)
    """Models of ``/v1/embeddings``; ``embeddings`` in `without` takes the route away."""
    embeddings_at_most: int | None = None
    """So many vectors come, however many texts there are."""

    # --- training ---------------------------------------------------------------------------------------------------
    job_s: float | None = None
    """Seconds from creation to the end of a job; `None`: each retrieval goes one status on."""
    job_error: str | None = None
    """Jobs fail with this error code after running."""
    job_error_object: bool = True
    """A succeeded job has ``"error": {}``, as OpenAI sends it; otherwise ``null``."""
    training_refused: bool = False
    """Creating a job is refused with 403 ``training_not_available``."""
    lose_file_replies: int = 0
    """So many files are taken while the reply that says so gets lost."""
    lose_job_replies: int = 0
    """So many jobs are created while the reply that says so gets lost."""
    min_examples: int = 10
    job_passes: tuple[str, ...] = ()
    """Further statuses, e.g. ``paused``, each for one retrieval, between ``running`` and the end of a job."""
    file_pending: int = 0
    """So many retrievals of an uploaded file show the status ``uploaded``."""
    file_status: bool = True
    """Whether a file has a status at all."""
    results_columns: tuple[str, ...] = (
        "step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy",
    )  # fmt: skip
    """Header of results files: step, loss and accuracy on train, the same on validation."""
    result_adapter: bool = False
    """Jobs and checkpoints also have binary result files, as Nebius has them."""
    fresh_404: int = 0
    """So many requests to trained models are answered with 404 before they are there."""
    deployments: Mapping[str, str] | None = None
    """Name → trained model, or "" for the last one; then trained models answer to these names alone, as at Azure."""
    results_base64: bool = False
    """Whether the results file's content comes base64-encoded, as it once did."""

    # --- batches; each retrieval goes one status on -----------------------------------------------------------------
    batches_stand_still: bool = False
    """They stay as they are."""
    batch_expires_after: int | None = None
    """A batch expires after so many answers."""
    batch_500_once: tuple[str, ...] = ()
    """Requests with one of these texts fail with 500 in the first batch that holds them."""
    batch_lines_spoilt: bool = False
    """An output file has a line twice, one of nobody's, lines that are no objects, and its last answer cut off."""
    batch_error: Mapping[str, Any] = field(default_factory=dict)
    """Validation fails with this."""
    batch_queue: int | None = None
    """So many requests may wait in all; a batch above that fails with ``token_limit_exceeded``."""
    lose_batch_replies: int = 0
    """So many batches are created while the reply that says so gets lost."""

    # --- faults; they befall the paths that start with one of `fault_paths` ----------------------------------------
    fault_paths: tuple[str, ...] = INFERENCE
    latency_s: float = 0.0
    latency_jitter_s: float = 0.0
    """At most so much is added, by body."""
    reply_s: float = 0.0
    """Between what was asked for and the reply that it is done."""
    requests_per_s: float | None = None
    """A true rate limit (token bucket of one second): 429 above it, with ``x-ratelimit-*`` headers on every answer."""
    rate_429: float = 0.0
    retry_after_s: float | None = None
    """``Retry-After`` of a 429."""
    retry_after_ms: float | None = None
    """``retry-after-ms`` of a 429."""
    quota_after: int | None = None
    """After so many good answers only 429 ``insufficient_quota``."""
    error_500_rate: float = 0.0
    reset_rate: float = 0.0
    """The connection is reset before an answer."""
    cut_rate: float = 0.0
    """The body breaks off half-way."""
    garbage_rate: float = 0.0
    """200 with an HTML page for a body."""
    empty_rate: float = 0.0
    """200 with an empty answer text."""
    stream_pause_s: float = 0.0
    """Before each piece of a stream."""
    dribble_s: float = 0.0
    """Before each byte of a body."""
    blank_rate: float = 0.0
    """200 with no body at all."""
    hang_rate: float = 0.0
    """No answer ever comes."""
    fail_first: int = 0
    """The first so many attempts of each body end with 500, then all is well."""
    hold: str | None = None
    """Requests to this route, e.g. ``POST /v1/files``, wait until this is set to something else. They are not served:
    their connections are reset then."""
    hold_after: int = 0
    """The first so many of them (since the last reset) pass."""
    hold_reply: bool = False
    """They are served; it is their replies that wait."""
    together: int = 0
    """Answers wait (for at most a minute) until so many inference requests have been open at once."""
    together_after: int = 0
    """The first so many of a route (since the last reset) do not wait: an engine sends one request ahead."""
    always_500: tuple[str, ...] = ()
    """Prompts about these items always end with 500."""
    always_400: tuple[str, ...] = ()
    """Prompts about these items are always refused with 400 ``invalid_prompt``."""
    unpaid_400: tuple[str, ...] = ()
    """Prompts about these items are refused with a 400 whose words alone say that there is no credit."""
    leak_key: bool = False
    """Error messages repeat the client's key."""
    keep_requests: int = 200
    """How many of the last requests `Provider.requests` gives."""

    def update(self, values: Mapping[str, Any]) -> None:
        """Sets fields by name; lists become tuples.

        Raises:
            TypeError: A name that is no setting.
        """
        known = {item.name for item in dataclasses.fields(self)}
        if unknown := sorted(set(values) - known):
            raise TypeError(f"no such setting of the provider: {', '.join(unknown)}")
        for name, value in values.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
