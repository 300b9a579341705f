"""What the service offers, described: `groups/` made into an OpenAPI document and a page."""
