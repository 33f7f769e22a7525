"""A GPU server without GPUs: exporters with the exact metric names, labels and types of DCGM's and vLLM's."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

ENGINE = {"model_name": "a-model", "engine": "0"}


@dataclass
class Gpu:
    """What DCGM knows of one."""

    number: int
    busy: float = 0.0
    energy_millijoules: int = 5_000_000
    xid: int = 0
    pod: str = "serving-1"


@dataclass
class Dcgm:
    """dcgm-exporter writes its text itself: counters there have no `_total`."""

    gpus: list[Gpu] = field(default_factory=lambda: [Gpu(0), Gpu(1)])
    fails: bool = False

    def text(self) -> str:
        metrics = (
            ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", lambda gpu: gpu.busy),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", lambda gpu: gpu.energy_millijoules),
            ("DCGM_FI_DEV_XID_ERRORS", "gauge", lambda gpu: gpu.xid),
            ("DCGM_FI_DEV_GPU_TEMP", "gauge", lambda _: 40),
        )
        lines = []
        for name, kind, value in metrics:
            lines += [f"# HELP {name} As NVIDIA's exporter says.", f"# TYPE {name} {kind}"]
            lines += [f"{name}{{{self._labels(gpu)}}} {value(gpu)}" for gpu in self.gpus]
        return "\n".join(lines) + "\n"

    @property
    def app(self) -> Starlette:
        async def metrics(_: Request) -> Response:
            return PlainTextResponse(self.text(), 500 if self.fails else 200)

        return Starlette(routes=[Route("/metrics", metrics)])

    @staticmethod
    def _labels(gpu: Gpu) -> str:
        labels = {
            "gpu": str(gpu.number),
            "UUID": f"GPU-{gpu.number:08x}",
            "pci_bus_id": f"00000000:{gpu.number:02X}:00.0",
            "device": f"nvidia{gpu.number}",
            "modelName": "NVIDIA H100 80GB HBM3",
            "Hostname": "gpu-server",
            "pod": gpu.pod,
        }
        return ",".join(f'{name}="{value}"' for name, value in labels.items())


class Vllm:
    """vLLM's /metrics, by the library that vLLM uses itself."""

    def __init__(self) -> None:
        self.fails = False
        self.start()

    def start(self) -> None:
        """As after a restart: every counter at nothing."""
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"vllm:{name}", "Number of tokens.", list(ENGINE), registry=self._registry)
            for name in ("prompt_tokens", "generation_tokens", "request_success")
        }
        for counter in self._counters.values():
            counter.labels(**ENGINE)
        running = Gauge("vllm:num_requests_running", "Requests.", list(ENGINE), registry=self._registry)
        running.labels(**ENGINE).set(1)

    def serve(self, prompt: int, generated: int) -> None:
        """One request."""
        for name, count in (
            ("prompt_tokens", prompt),
            ("generation_tokens", generated),
            ("request_success", 1),
        ):
            self._counters[name].labels(**ENGINE).inc(count)

    @property
    def app(self) -> Starlette:
        async def metrics(_: Request) -> Response:
            return Response(generate_latest(self._registry), 500 if self.fails else 200)

        return Starlette(routes=[Route("/metrics", metrics)])
