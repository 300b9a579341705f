"""A checkpoint and its adapter: found, checked, cut at the deepest head that scores."""
