"""Kinds of models that are known inside and out."""

from __future__ import annotations

PLAIN = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Values of a configuration's ``model_type`` whose decoders are all built alike: a list of layers, each of attention
and a feed-forward part behind a norm of its own, rotary positions, one norm at the end. Such a decoder can be run in
parts and by code of our own. Tests compare their answers with
`transformers`' own."""
