"""How good heads are, on labelled conversations: which to choose, and how to use them."""
