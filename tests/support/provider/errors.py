"""What a request can come to instead of an answer."""

from __future__ import annotations


class ApiError(Exception):
    """An answer that is an error, as OpenAI words it."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        kind = kind or ("server_error" if status >= 500 else "invalid_request_error")
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class LostError(Exception):
    """Whatever was done: the connection is reset before anybody hears of it."""
