"""The collector leaves out what was loaded before, and looks sooner at what survived once."""

import gc
import sys

import pytest

from llm_metrics_proxy.addon.starting.start import collect_sooner


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="another collector, whose thresholds say something else")
def test_flows_are_looked_at_sooner_and_what_was_loaded_is_not() -> None:
    before = gc.get_threshold()
    try:
        collect_sooner()
        young, middle, old = gc.get_threshold()
        assert gc.get_freeze_count() > 1000
        assert (young, old) == (before[0], before[2])
        assert middle < before[1]
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
