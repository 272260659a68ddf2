"""What each provider asks of a training file: figures for the rules of `harness.prepare.format`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from harness.errors import DataError, nearest

MEGABYTE = 1_000_000
LEAST_EXAMPLES = 10
"""Fewer are refused (OpenAI's guide on fine-tuning)."""
ADVISED_EXAMPLES = 100
"""From 50 to 100 examples on gains show (the same guide); each doubling adds about as much again."""
LARGEST_WEIGHT = 100.0
"""Above it one example outweighs all others of its step, and the loss says nothing of them any more (own choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A provider's rules for training files."""

    name: str
    hosts: tuple[str, ...] = ()
    """Domains of its endpoints, by which it is known."""
    bom: bool = False
    """Whether a file has to begin with a byte order mark; where it need not, it must not."""
    least_examples: int = LEAST_EXAMPLES
    """Fewer are refused."""
    max_bytes: int | None = 512 * MEGABYTE
    """Largest file that is taken; `None` where there is no limit."""
    deploys: bool = False
    """Whether a trained model answers only once it is deployed, under the deployment's name."""
    example_weights: bool = False
    """Whether an example may have a fractional `weight` (0 < weight ≤ 100)."""


OPENAI = Profile(name="openai", hosts=("api.openai.com",))
"""At least 10 examples, files of up to 512 MB (OpenAI's guide on fine-tuning, API reference of files)."""

COMPATIBLE = Profile(name="openai-compatible")
"""Servers of the same API that nothing more is known of: OpenAI's figures, for want of their own."""

AZURE = Profile(
    name="azure",
    hosts=("openai.azure.com", "cognitiveservices.azure.com", "services.ai.azure.com", "openai.azure.us"),
    bom=True,
    max_bytes=512 * MEGABYTE - 1,
    deploys=True,
)
"""JSON Lines in UTF-8 with a byte order mark, less than 512 MB, at least 10 examples ("Customize a model with
fine-tuning", Azure OpenAI's documentation). A deployment is hosted by the hour, and is called by its own name."""

NEBIUS = Profile(name="nebius", hosts=("nebius.com", "nebius.ai"), max_bytes=5_000 * MEGABYTE)
"""Files of up to 5 GB (guides on fine-tuning at Nebius Token Factory); no least number is published, so OpenAI's is
kept."""

LOCAL = Profile(name="local", max_bytes=None, example_weights=True)
"""The local endpoint (`harness_local.training.examples`): at least 10 examples, no size limit, fractional weights."""

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {profile.name: profile for profile in (OPENAI, AZURE, NEBIUS, LOCAL, COMPATIBLE)}
)
"""A new provider is a `Profile` above and its name here."""


def profile_for(base_url: str | None, name: str | None = None) -> Profile:
    """Returns the profile of an endpoint.

    Args:
        base_url: Where it is; `None` or `local` for the local endpoint.
        name: A profile's name, which then decides.

    Raises:
        DataError: There is no profile of that name.
    """
    if name is not None:
        if name not in PROFILES:
            raise DataError(f'there is no profile "{name}" of training files', nearest(name, PROFILES))
        return PROFILES[name]
    if base_url is None or base_url == LOCAL.name:
        return LOCAL
    host = _host(base_url)
    for profile in PROFILES.values():
        if any(host == known or host.endswith(f".{known}") for known in profile.hosts):
            return profile
    return COMPATIBLE


def _host(url: str) -> str:
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:  # a broken IPv6 address; whoever connects says so
        return ""
