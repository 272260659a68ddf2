"""The HTTP side: what a request may say, what an answer looks like, who may ask."""
