"""The gateway: an OpenAI-compatible endpoint with a memory."""
