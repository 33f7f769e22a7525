"""NVML: the rules before an object that stands in for the library, and the library itself where a GPU is."""

from __future__ import annotations

import asyncio
import importlib
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from wellhead.errors import Misused
from wellhead.oracle.sources import nvml
from wellhead.oracle.sources.fetch import ScrapeError
from wellhead.oracle.sources.live import Reading
from wellhead.oracle.sources.meters import NVML
from wellhead.oracle.sources.nvml import Nvml

BUSY, ENERGY = NVML.busy_gauges[0].name, NVML.energy[0].name


class NvmlStandIn:
    """No GPU: it answers with pynvml's names what it is told to."""

    nvmlEventTypeXidCriticalError = 8  # noqa: N815 - the library's name

    class NVMLError(Exception):
        """As the library's."""

    def __init__(self, gpus: int = 2) -> None:
        self.gpus = gpus
        self.fails = ""
        self.errors: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            if name == self.fails:
                raise self.NVMLError(f"{name} fails")
            return getattr(self, f"_{name.removeprefix('nvml')}")(*arguments)

        if not name.startswith("nvml"):
            raise AttributeError(name)
        return call

    def _Init(self) -> None:  # noqa: N802 - named after the library's
        pass

    def _DeviceGetCount(self) -> int:  # noqa: N802
        return self.gpus

    def _DeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def _DeviceGetUUID(self, gpu: int) -> bytes:  # noqa: N802
        return f"GPU-{gpu}".encode()

    def _DeviceGetUtilizationRates(self, gpu: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(gpu=50 + gpu)

    def _DeviceGetTotalEnergyConsumption(self, gpu: int) -> int:  # noqa: N802
        return 1_000 * (gpu + 1)

    def _EventSetCreate(self) -> object:  # noqa: N802
        return object()

    def _DeviceRegisterEvents(self, *_: Any) -> None:  # noqa: N802
        pass

    def _EventSetWait_v2(self, _events: object, milliseconds: int) -> SimpleNamespace:  # noqa: N802
        assert milliseconds == 0
        if not self.errors:
            raise self.NVMLError("timeout")
        gpu, xid = self.errors.pop(0)
        return SimpleNamespace(device=gpu, eventData=xid)


def look(source: Nvml) -> Reading:
    async def story() -> Reading:
        async with httpx.AsyncClient() as client:
            return await source.read(client, 0, 5)

    return asyncio.run(story())


def test_every_gpu_tells_its_use_and_energy() -> None:
    assert look(Nvml(NvmlStandIn())).values == {
        (BUSY, (("UUID", "GPU-0"),)): Decimal(50),
        (ENERGY, (("UUID", "GPU-0"),)): Decimal(1_000),
        (BUSY, (("UUID", "GPU-1"),)): Decimal(51),
        (ENERGY, (("UUID", "GPU-1"),)): Decimal(2_000),
    }


def test_xid_errors_are_told_once_with_their_gpu() -> None:
    library = NvmlStandIn()
    source = Nvml(library)
    library.errors = [(1, 79), (0, 43)]
    assert look(source).faults == ("XID 79 of GPU-1", "XID 43 of GPU-0")
    assert look(source).faults == ()


def test_a_gpu_that_is_lost_is_no_answer_and_its_xid_is_told() -> None:
    library = NvmlStandIn()
    source = Nvml(library)
    library.fails, library.errors = "nvmlDeviceGetUtilizationRates", [(0, 79)]
    with pytest.raises(ScrapeError, match="nvmlDeviceGetUtilizationRates fails; XID 79 of GPU-0"):
        look(source)


def test_a_driver_without_events_still_counts() -> None:
    library = NvmlStandIn()
    library.fails = "nvmlEventSetCreate"
    source = Nvml(library)
    library.fails = ""
    assert len(look(source).values) == 4


def test_a_machine_without_driver_or_library_is_misuse(monkeypatch: pytest.MonkeyPatch) -> None:
    library = NvmlStandIn()
    library.fails = "nvmlInit"
    with pytest.raises(Misused, match="no GPU to be seen here through NVML: nvmlInit fails"):
        Nvml(library)
    monkeypatch.setattr(nvml, "MODULE", "pynvml_that_is_not_here")
    with pytest.raises(Misused, match=r"install wellhead\[nvml\]"):
        Nvml()


def test_a_real_gpu() -> None:
    """The only test that may be skipped: most machines have no GPU, and then it says so."""
    try:
        library = importlib.import_module(nvml.MODULE)
        library.nvmlInit()
    except ImportError:
        pytest.skip(f"{nvml.PACKAGE} is not installed: NVML itself was not tried")
    except library.NVMLError as error:
        pytest.skip(f"no NVIDIA driver here ({error}): NVML itself was not tried")
    source = Nvml()
    first, second = look(source), look(source)
    assert first.values.keys() == second.values.keys()
    for (name, labels), value in first.values.items():
        if name == ENERGY:
            assert second.values[name, labels] >= value > 0
        else:
            assert 0 <= value <= 100
