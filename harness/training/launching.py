"""How a training job is recognised at its endpoint, so that nothing is uploaded or launched there a second time.

A file is known by its content's hash, which its name there carries; a job by a tag. The tag goes into the job's
metadata, or, where an endpoint takes none, in a short form into its suffix. A job without any tag counts as ours where
it trains the same model on the very same files with the same settings: endpoints that pass over metadata in silence
make such jobs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from harness.journal import Job
from harness.types import JobSpec

if TYPE_CHECKING:
    import openai
    from openai.types import FileObject
    from openai.types.fine_tuning import FineTuningJob

T = TypeVar("T")
TAG = "harness_tag"
_IN_SUFFIX = "tagged_in_suffix"
_SUFFIX = 64
_SHORT = 12
_REFUSED = (400, 422)
_UNLISTED = frozenset({400, 403, 404, 405, 410, 422, 501})
"""Answers of an endpoint that does not list its files; it may take them all the same."""
_USELESS = frozenset({"error", "deleting", "deleted", "expired"})
_DATED = re.compile(r"(-[\d-]+)?")
"""What endpoints add to the name of a base model: the date of the version that it stood for."""


def attempt_of(job: Job) -> int:
    """Returns how many jobs have been launched for the same model, this one included."""
    return int(job.spec.get("attempt", 1))


def remote_tag(job: Job) -> str:
    """Returns what a job is known by at its endpoint: a later attempt has a tag of its own."""
    attempt = attempt_of(job)
    return job.tag if attempt == 1 else f"{job.tag}-{attempt}"


def file_name(stem: str, content_hash: str) -> str:
    """Returns the name under which a training file is uploaded."""
    return f"{stem}{_hash_end(content_hash)}"


def _hash_end(content_hash: str) -> str:
    return f"-{content_hash[:_SHORT]}.jsonl"


def files_there(client: openai.OpenAI, sizes: Mapping[str, int]) -> dict[str, FileObject] | None:
    """Looks for training files among those that the endpoint has, whoever uploaded them.

    Args:
        client: The endpoint's.
        sizes: SHA-256 of a content → its size in bytes.

    Returns:
        SHA-256 → a file with that content; `None` where the endpoint does not say what it has.
    """
    import openai

    found: dict[str, FileObject] = {}
    try:
        for file in once(client.files.list(purpose="fine-tune")):
            shown = file.to_dict(warnings=False)
            for content_hash, size in sizes.items():
                same = str(shown.get("filename")).endswith(_hash_end(content_hash)) and shown.get("bytes") == size
                if same and shown.get("status") not in _USELESS:
                    found.setdefault(content_hash, file)
            if len(found) == len(sizes):
                break
    except openai.APIStatusError as error:
        if error.status_code in _UNLISTED:
            return None
        raise
    return found


def find_job(client: openai.OpenAI, job: Job, spec: JobSpec, hashes: Mapping[str, str]) -> FineTuningJob | None:
    """Looks for a job that was launched before, without a record of its id.

    Args:
        client: The endpoint's.
        job: The intent as the journal keeps it.
        spec: What it trains.
        hashes: `train` and `validation` → SHA-256 of the file.
    """
    import openai

    filters: tuple[Mapping[str, Any], ...] = ({"metadata": {TAG: remote_tag(job)}}, {})
    for given in filters:  # without a filter where the endpoint refuses it, or does not keep what it asks for
        try:
            for found in once(client.fine_tuning.jobs.list(limit=100, **given)):
                if _is_ours(found.to_dict(warnings=False), job, spec, hashes):
                    return found
        except openai.APIStatusError as error:
            if not given or error.status_code not in _REFUSED:
                raise
    return None


def _is_ours(shown: Mapping[str, Any], job: Job, spec: JobSpec, hashes: Mapping[str, str]) -> bool:
    tag = (shown.get("metadata") or {}).get(TAG)
    if tag is not None:
        return bool(tag == remote_tag(job))
    suffix = shown.get("user_provided_suffix") or None
    if job.spec.get(_IN_SUFFIX):
        return suffix == _tagged_suffix(job, spec)
    files = {name: job.files.get(content_hash) for name, content_hash in hashes.items()}
    if files.get("train") is None or str(shown.get("status")).lower() in {"failed", "cancelled"}:
        return False
    return (
        shown.get("training_file") == files["train"]
        and shown.get("validation_file") == files.get("validation")
        and suffix in {None, spec.suffix}
        and (spec.seed is None or shown.get("seed") in {None, spec.seed})
        and str(shown.get("model")).startswith(spec.base)
        and _DATED.fullmatch(str(shown.get("model")).removeprefix(spec.base)) is not None
        and _compatible(shown, spec.hyperparameters)
    )


def _compatible(shown: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a job's settings, as far as the endpoint tells them, are those that were asked for."""
    supervised = (shown.get("method") or {}).get("supervised") or {}
    told = {**(shown.get("hyperparameters") or {}), **(supervised.get("hyperparameters") or {})}
    return all(told.get(name) in (None, "auto", value) for name, value in asked.items())


def creation(job: Job, spec: JobSpec, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Returns the request that launches a job."""
    request: dict[str, Any] = {
        "model": spec.base,
        "training_file": job.files[hashes["train"]],
        "method": {"type": "supervised", "supervised": {"hyperparameters": dict(spec.hyperparameters)}},
    }
    if "validation" in hashes:
        request["validation_file"] = job.files[hashes["validation"]]
    if spec.suffix is not None:
        request["suffix"] = spec.suffix
    if spec.seed is not None:
        request["seed"] = spec.seed
    if job.spec.get(_IN_SUFFIX):
        return {**request, "suffix": _tagged_suffix(job, spec)}
    return {**request, "metadata": {TAG: remote_tag(job)}}


def without_metadata(job: Job, error: openai.APIStatusError) -> Job | None:
    """Returns a job with its tag in its suffix, if it was its metadata that the endpoint refused; otherwise `None`."""
    if job.spec.get(_IN_SUFFIX) or error.status_code not in _REFUSED or "metadata" not in str(error).lower():
        return None
    return replace(job, spec={**job.spec, _IN_SUFFIX: True})


def _tagged_suffix(job: Job, spec: JobSpec) -> str:
    short = hashlib.sha256(remote_tag(job).encode()).hexdigest()[:_SHORT]
    return f"{spec.suffix[: _SUFFIX - _SHORT - 1]}-{short}" if spec.suffix else short


def once(pages: Iterable[T]) -> Iterator[T]:
    """Yields what a list holds until something comes a second time: some endpoints give the same page for ever."""
    seen: set[Any] = set()
    for item in pages:
        name = getattr(item, "id", None)
        if name is not None and name in seen:
            return
        seen.add(name)
        yield item
