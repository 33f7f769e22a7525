"""The GPUs of this very machine through NVIDIA's management library, where a driver is."""

from __future__ import annotations

import asyncio
import importlib
from decimal import Decimal
from typing import Any

import httpx

from wellhead.errors import Misused
from wellhead.oracle.sources.fetch import ScrapeError, TooSlowError
from wellhead.oracle.sources.live import Key, Reading
from wellhead.oracle.sources.meters import NVML

PACKAGE, MODULE = "nvidia-ml-py", "pynvml"
MAX_EVENTS = 64  # in one look: a GPU that throws more tells nothing new


class Nvml:
    """All GPUs here. What NVML does not answer is the machine's own: no line lies between."""

    line, kind, asked = None, NVML, "NVML of this machine"

    def __init__(self, library: Any = None) -> None:
        """`library` is pynvml, or something with its names. Raises Misused where it or a driver is missing."""
        self._nvml = library if library is not None else _library()
        try:
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
            self._gpus = [self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            self._uuids = [_text(self._nvml.nvmlDeviceGetUUID(gpu)) for gpu in self._gpus]
        except self._nvml.NVMLError as error:
            raise Misused(f"no GPU to be seen here through NVML: {error}") from None
        self._events = self._watch_errors()

    async def read(self, _client: httpx.AsyncClient, _slot: int, timeout_seconds: float) -> Reading:
        """Every GPU's use and energy, and the XID errors since the last look. Raises ScrapeError."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.to_thread(self._read)
        except TimeoutError:  # a driver that hangs keeps its thread, and no other look waits for it
            raise TooSlowError(f"NVML takes longer than {timeout_seconds} s") from None

    def _read(self) -> Reading:
        (gauge,), (energy,) = NVML.busy_gauges, NVML.energy
        values: dict[Key, Decimal] = {}
        try:
            for gpu, uuid in zip(self._gpus, self._uuids, strict=True):
                labels = (("UUID", uuid),)
                values[gauge.name, labels] = Decimal(self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
                values[energy.name, labels] = Decimal(self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu))
        except self._nvml.NVMLError as error:
            raise ScrapeError("; ".join((f"NVML: {error}", *self._errors()))) from None
        return Reading(values, self._errors())

    def _watch_errors(self) -> Any:
        """An event set of XID errors, or None where the driver offers none."""
        try:
            events = self._nvml.nvmlEventSetCreate()
            for gpu in self._gpus:
                self._nvml.nvmlDeviceRegisterEvents(gpu, self._nvml.nvmlEventTypeXidCriticalError, events)
        except self._nvml.NVMLError:
            return None
        return events

    def _errors(self) -> tuple[str, ...]:
        found: list[str] = []
        while self._events is not None and len(found) < MAX_EVENTS:
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                uuid = _text(self._nvml.nvmlDeviceGetUUID(event.device))
            except self._nvml.NVMLError:
                break  # none waits
            found.append(f"XID {event.eventData} of {uuid}")
        return tuple(found)


def _library() -> Any:
    try:
        return importlib.import_module(MODULE)
    except ImportError:
        raise Misused(f"NVML needs {PACKAGE}: install wellhead[nvml]") from None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
