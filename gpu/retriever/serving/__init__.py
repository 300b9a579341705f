"""The engine assembled and behind HTTP."""
