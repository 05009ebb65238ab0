"""Networks run on a device that is there, or nothing runs."""

from __future__ import annotations

import pytest
import torch

from glot_cli.device import pick_device
from glot_cli.errors import UsageError


@pytest.mark.parametrize("wanted", ["auto", "cpu", "cuda", "cuda:0", "cuda:1"])
def test_what_is_there_is_taken(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device(wanted) == ("cuda" if wanted == "auto" else wanted)


@pytest.mark.parametrize("wanted", ["cuda:2", "cuda:9", "cuda:", "cuda:x", "tpu", "cpu:1"])
def test_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=f"device: {wanted} is not on this machine; there is cuda, cuda:1, cpu$"):
        pick_device(wanted)
