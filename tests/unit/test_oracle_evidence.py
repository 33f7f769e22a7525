"""Evidence is for whoever doubts a report, and for nobody before there is one."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.testclient import TestClient

from wellhead.oracle.daemon.evidence import evidence_routes
from wellhead.oracle.daemon.store import ReporterStore, Sealed, StoredReport

DIGEST = b"\x11" * 32
REPORT = StoredReport(4, 3, b"\x01" * 23, b"\x02" * 32, b"\x03" * 36, b"\x04" * 192, "0x" + "01" * 20)


def test_nothing_is_shown_while_others_could_copy_it(tmp_path: Path) -> None:
    store = ReporterStore(f"sqlite:///{tmp_path / 'reporter.db'}")
    client = TestClient(Starlette(routes=[*evidence_routes(store)]))

    def shown(round_number: int) -> list[int]:
        pages = (f"/rounds/{round_number}/evidence", f"/rounds/{round_number}/evidence/7")
        return [client.get(page).status_code for page in pages]

    store.seal(DIGEST, 4, Sealed(3, b"", {}), {7: (b"\x05" * 32, b"{}")})
    assert shown(4) == [404, 404]
    store.agree(DIGEST, REPORT)
    assert shown(4) == [200, 200]
    store.seal(DIGEST, 5, Sealed(3, b"", {}), {7: (b"\x05" * 32, b"{}")})
    store.seal(DIGEST, 6, Sealed(3, b"", {}), {7: (b"\x05" * 32, b"{}")})
    assert shown(5) == [200, 200]
    assert shown(6) == [404, 404]
    store.close()
