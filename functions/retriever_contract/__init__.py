"""The wire between the gateway and the GPU tier: pydantic models and their limits, nothing else.

Both sides import it; it imports neither. JSON over HTTP, every body with its `version`.
"""
