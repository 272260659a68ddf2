"""What the rules would have changed: the rows as they are to be written."""

from __future__ import annotations

from typing import Any

from harness.prepare.format import texts


def mended(prompts: Any, completions: Any) -> tuple[Any, Any]:
    """Returns prompts and completions without what findings call mended.

    Rows with an empty completion are left out, completions begin with a space, and of rows that are the same then, the
    first is kept. Texts are otherwise as they were, rows in their order. Mending what is mended changes nothing.

    Args:
        prompts: Column of texts (Arrow); null counts as empty.
        completions: Column of the same length.

    Raises:
        ValueError: The columns are not of one length.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    asked, told = (column.fill_null("") for column in texts.pair(prompts, completions))
    taught = pa.array(~texts.blank(told))
    asked, told = asked.filter(taught), told.filter(taught)
    space, empty = (pa.scalar(text, told.type) for text in (" ", ""))
    spaced = pc.if_else(pc.starts_with(told, " "), told, pc.binary_join_element_wise(space, told, empty))
    kept = pa.array(~texts.repeated(texts.encoded(asked)[0], texts.encoded(spaced)[0]))
    return asked.filter(kept), spaced.filter(kept)
