"""docs/gpu.md says what the GPU server takes, answers and counts."""

import re
from pathlib import Path

from resources.gpu.http_api import build_app
from resources.gpu.metrics import Metrics
from resources.gpu.service import Service, ServiceOptions
from resources.gpu.wire import Edit

PAGE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> str:
    """The first column of the table under a line that begins like this."""
    table = PAGE.split(f"\n{heading}", 1)[1].split("\n\n", 1)[0]
    return "\n".join(line.split("|")[1] for line in table.splitlines()[2:])


def test_every_field_of_a_request_stands_in_its_table() -> None:
    told = re.findall(r"`(\w+)`", first_cells("| field |"))
    assert sorted(told) == sorted(Edit.model_fields)


def test_every_metric_stands_in_its_table_and_no_other() -> None:
    text = Metrics().text().decode()
    counted = {name.removesuffix("_total") for name in re.findall(r"^# TYPE (luxauto_gpu_\w+) ", text, re.M)}
    counted = {name for name in counted if not name.endswith("_created")}
    assert set(re.findall(r"`(\w+)`", first_cells("| name |"))) == counted


def test_every_path_stands_in_its_table() -> None:
    app = build_app(Service(ServiceOptions(source=Path("nowhere"))))
    served = {path for route in app.routes if (path := getattr(route, "path", "")).startswith(("/v1", "/healthz"))}
    told = {path.split(" ")[-1] for path in re.findall(r"`([^`]+)`", first_cells("| path |"))}
    assert served <= told
    assert told - {"/readyz", "/metrics"} <= served


def test_every_code_of_a_refusal_stands_in_its_table() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE.split("| status |", 1)[1].split("\n\n", 1)[0])) - {"param", "healthz"}
    sources = "".join(
        (Path(__file__).parents[2] / "resources" / "gpu" / name).read_text(encoding="utf-8")
        for name in ("http_api.py", "wire.py", "tasks.py", "service.py")
    )
    for code in told:
        assert f'"{code}"' in sources, code
