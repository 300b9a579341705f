"""Tiny models on one thread: two would spend their time waiting for each other."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
