"""The explorer of a page: every example with every arm's answer, compressed, unpacked in the reader's browser."""
