"""The retriever itself: what is read, what is kept of it, and what it scores."""
