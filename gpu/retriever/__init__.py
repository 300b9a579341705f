"""A query-focused retriever: attention heads of a decoder score remembered chunks for a question.

QRHead (https://arxiv.org/abs/2506.09944) and QRRanker (https://arxiv.org/abs/2602.12192), computed
exactly and without the work that changes no score. Knows neither Modal nor, `serve` aside, HTTP.
"""
