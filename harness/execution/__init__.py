"""Requests → answers: the engine's only asyncio."""
