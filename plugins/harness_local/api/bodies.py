"""Request bodies: the one place that says what a request may hold.

A field with a type is supported. A field marked with `only` is one that OpenAI's API has and this endpoint has not: it
is refused by name unless its value changes nothing. Every other name is refused as unknown. A null counts as absent.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from harness_local.api.errors import invalid, unsupported
from harness_local.api.fields import Bias, Body, Int, Metadata, Text, always, only, told
from harness_local.inference.work import Sampling

MOST_PROMPTS = 1024
"""A label scored as a continuation is a prompt of its own: a task has as many labels at most."""
_MOST_N = 128
_LARGEST = 2**63 - 1
_ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}

_Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, fail_fast=True)]
Prompt = Annotated[
    Text
    | Annotated[list[Text], Field(min_length=1, max_length=MOST_PROMPTS, fail_fast=True)]
    | _Tokens
    | Annotated[list[_Tokens], Field(min_length=1, max_length=MOST_PROMPTS, fail_fast=True)],
    Field(union_mode="left_to_right"),
    told(f"it must be a string, a list of 1 to {MOST_PROMPTS} strings, or token arrays"),
]
_StopText = Annotated[Text, Field(min_length=1)]
Stop = Annotated[
    _StopText | Annotated[list[_StopText], Field(max_length=4, fail_fast=True)],
    told("it must be a string or a list of up to 4 strings, none of them empty"),
]


class StreamOptions(Body):
    """``stream_options``."""

    include_usage: bool | None = None
    include_obfuscation: Annotated[Any, *only(False)] = None


class Drawing(Body):
    """How answers are drawn: what completions and chat have in common."""

    model: Annotated[Text, Field(max_length=1000)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[Int, Field(ge=1, le=_MOST_N)] | None = None
    stop: Stop | None = None
    seed: Annotated[Int, Field(ge=-_LARGEST - 1, le=_LARGEST)] | None = None
    logit_bias: Bias | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Text | None = None
    frequency_penalty: Annotated[Any, *only(0, 0.0)] = None
    presence_penalty: Annotated[Any, *only(0, 0.0)] = None

    @model_validator(mode="after")
    def _stream_options_need_a_stream(self) -> Drawing:
        if self.stream_options is not None and not self.stream:
            raise invalid("stream_options", "'stream_options' is allowed only where 'stream' is true.")
        return self

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return self.n or 1

    @property
    def tells_usage(self) -> bool:
        """Whether a stream is to end with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampling(self, max_tokens: int, vocabulary: int, schema: str | None = None) -> Sampling:
        """The same for the engine.

        Args:
            max_tokens: Most tokens to generate.
            vocabulary: Number of the model's tokens.
            schema: JSON schema that answers must fit.

        Raises:
            ApiError: 400, a biased token does not exist.
        """
        bias = tuple((int(token), value) for token, value in (self.logit_bias or {}).items())
        if strange := next((token for token, _ in bias if token >= vocabulary), None):
            raise invalid(
                "logit_bias", f"Invalid 'logit_bias': token ids go from 0 to {vocabulary - 1}, not {strange}."
            )
        return Sampling(
            max_tokens=max_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            seed=self.seed,
            bias=bias,
            schema=schema,
        )


class CompletionBody(Drawing):
    """A body of ``/v1/completions``."""

    prompt: Prompt
    max_tokens: Annotated[Int, Field(ge=0, le=_LARGEST)] | None = None
    logprobs: Annotated[Int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    best_of: Annotated[Int, Field(ge=1, le=_MOST_N)] | None = None
    suffix: Annotated[Any, *only("")] = None

    @property
    def scores_prompt(self) -> bool:
        """Whether the log-probabilities of the prompt's own tokens are wanted."""
        return bool(self.echo) and self.logprobs is not None

    @model_validator(mode="after")
    def _fits_together(self) -> CompletionBody:
        if self.max_tokens == 0 and not self.echo:
            raise invalid("max_tokens", "'max_tokens' may be 0 only with 'echo': there would be nothing to answer.")
        if self.best_of not in (None, self.choices):
            raise unsupported("best_of", f" with the value {self.best_of}")
        return self


class TextPart(Body):
    """A part of a message."""

    type: Annotated[Literal["text"], *always("text")]
    text: Text
    image_url: Annotated[Any, *only()] = None
    input_audio: Annotated[Any, *only()] = None
    file: Annotated[Any, *only()] = None
    refusal: Annotated[Any, *only()] = None


def _form(content: Any) -> str:
    return "<parts>" if isinstance(content, list) else "<text>"


class Message(Body):
    """A message of a conversation."""

    role: Literal["developer", "system", "user", "assistant"]
    content: Annotated[
        Annotated[Text, Tag("<text>")] | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("<parts>")],
        Discriminator(_form),
    ]
    name: Annotated[Any, *only()] = None
    # What an answer of this API holds beside its text, sent back as it came:
    refusal: Annotated[Any, *only()] = None
    annotations: Annotated[Any, *only([])] = None
    audio: Annotated[Any, *only()] = None
    tool_calls: Annotated[Any, *only([])] = None
    function_call: Annotated[Any, *only()] = None

    @property
    def plain(self) -> dict[str, str]:
        """The message as a chat template takes it, with its parts joined."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": _ROLES[self.role], "content": text}


class LearnedMessage(Message):
    """A message of a training file; a weight of 0 keeps an assistant's from being learned."""

    weight: Literal[0, 1] | None = None
    name: Any = None  # the chat template does not write it


class Conversation(Body):
    """A chat line of a training file."""

    messages: Annotated[list[LearnedMessage], Field(min_length=1, fail_fast=True)]
    weight: Any = None  # of the whole example, which prompt/completion lines have too
    tools: Annotated[Any, *only([])] = None
    functions: Annotated[Any, *only([])] = None
    parallel_tool_calls: Annotated[Any, *only(True, False)] = None


class JsonSchema(Body):
    """``response_format.json_schema``."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    table: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """``response_format``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ResponseFormat:
        if (self.type == "json_schema") is (self.json_schema is None):
            raise invalid("response_format.json_schema", "'json_schema' goes with the type 'json_schema'.")
        return self

    @property
    def schema_text(self) -> str | None:
        """The JSON schema as text; None for free text.

        Raises:
            ApiError: 400, it is not JSON or nested too deeply.
        """
        if self.type == "text":
            return None
        table = self.json_schema and self.json_schema.table
        try:
            return json.dumps({"type": "object"} if table is None else table, allow_nan=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            message = "The schema holds a number that is not JSON or is nested too deeply."
            raise invalid("response_format.json_schema.schema", message) from None


class ChatBody(Drawing):
    """A body of ``/v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    max_completion_tokens: Annotated[Int, Field(ge=1, le=_LARGEST)] | None = None
    max_tokens: Annotated[Int, Field(ge=1, le=_LARGEST)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[Int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    metadata: Metadata | None = None
    prompt_cache_key: Text | None = None
    safety_identifier: Text | None = None
    # Of these the values that change nothing:
    store: Annotated[Any, *only(False)] = None
    service_tier: Annotated[Any, *only("auto", "default")] = None
    prompt_cache_retention: Annotated[Any, *only("in_memory")] = None
    modalities: Annotated[Any, *only(["text"])] = None
    verbosity: Annotated[Any, *only("medium")] = None
    reasoning_effort: Annotated[Any, *only("none")] = None
    parallel_tool_calls: Annotated[Any, *only(True, False)] = None
    tools: Annotated[Any, *only([])] = None
    tool_choice: Annotated[Any, *only("none")] = None
    functions: Annotated[Any, *only([])] = None
    function_call: Annotated[Any, *only("none")] = None
    audio: Annotated[Any, *only()] = None
    moderation: Annotated[Any, *only()] = None
    prediction: Annotated[Any, *only()] = None
    prompt_cache_options: Annotated[Any, *only()] = None
    web_search_options: Annotated[Any, *only()] = None

    @model_validator(mode="after")
    def _fits_together(self) -> ChatBody:
        if self.top_logprobs and not self.logprobs:
            raise invalid("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.")
        return self


_Auto = Literal["auto"]


class Hyperparameters(Body):
    """Settings of a training: OpenAI's three, and those of the adapter."""

    n_epochs: Annotated[Int, Field(ge=1, le=50)] | _Auto | None = None
    batch_size: Annotated[Int, Field(ge=1, le=256)] | _Auto | None = None
    learning_rate_multiplier: Annotated[float, Field(ge=1e-4, le=100)] | _Auto | None = None
    lora_rank: Annotated[Int, Field(ge=1, le=256)] | _Auto | None = None
    lora_alpha: Annotated[float, Field(ge=1e-3, le=1024)] | _Auto | None = None
    lora_layers: Annotated[Int, Field(ge=1, le=1000)] | _Auto | None = None
    lora_targets: (
        Annotated[
            Literal["all", "auto"]
            | Annotated[
                list[Annotated[Text, Field(min_length=1, max_length=100)]],
                Field(min_length=1, max_length=64, fail_fast=True),
            ],
            told("it must be 'all', 'auto' or a list of module names"),
        ]
        | None
    ) = None
    warmup_ratio: Annotated[float, Field(ge=0, le=0.5)] | _Auto | None = None


class Supervised(Body):
    """``method.supervised``."""

    hyperparameters: Hyperparameters | None = None


class Method(Body):
    """How to train."""

    type: Annotated[Literal["supervised"], *always("supervised")]
    supervised: Supervised | None = None
    dpo: Annotated[Any, *only()] = None
    reinforcement: Annotated[Any, *only()] = None


class JobBody(Body):
    """A body of ``/v1/fine_tuning/jobs``."""

    model: Annotated[Text, Field(max_length=1000)]
    training_file: Text
    validation_file: Text | None = None
    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64)] | None = None
    seed: Annotated[Int, Field(ge=0, le=2**31 - 1)] | None = None
    metadata: Metadata | None = None
    hyperparameters: Hyperparameters | None = None
    method: Method | None = None
    integrations: Annotated[Any, *only([])] = None

    @property
    def settings(self) -> dict[str, Any]:
        """Hyperparameters that were given, from ``method`` or from the older top-level field."""
        supervised = self.method and self.method.supervised
        given = (supervised and supervised.hyperparameters) or self.hyperparameters
        return {} if given is None else {name: value for name, value in given if value is not None}

    @model_validator(mode="after")
    def _fits_together(self) -> JobBody:
        supervised = self.method and self.method.supervised
        if self.hyperparameters and supervised and supervised.hyperparameters:
            raise invalid("hyperparameters", "Give hyperparameters in 'method' or at the top, not in both.")
        return self
