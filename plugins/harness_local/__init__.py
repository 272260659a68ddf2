"""The local endpoint: an OpenAI-compatible server that serves and fine-tunes a small language model on this machine.

Importing this package imports nothing heavy: torch, transformers and the web server load inside `serve`.
"""

from __future__ import annotations

from harness_local.serving import serve

__all__ = ["serve"]
