"""Training of an adapter, and the lessons for it."""
