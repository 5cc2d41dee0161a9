"""The served OpenAPI document held against the served gateway by schemathesis, with every check that it has."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.images.policy import FILE_NAME as POLICY
from tests.luxauto_pipelines.gateway.conftest import SECRET, serve

CONFIG = Path(__file__).with_name("schemathesis.toml")
pytestmark = pytest.mark.slow


def test_schemathesis_finds_nothing(home: Path, tmp_path: Path) -> None:
    production = {"LUXAUTO_ENV": "production", "JWT_SECRET_KEY": SECRET, "LUXAUTO_RATE_LIMIT": "off"}
    home.mkdir(parents=True)
    # A film takes a minute, and a hundred of them tell no more than the test of one.
    (home / POLICY).write_text("only: {video_commercial: [], promotional_video: []}\n")
    with serve(home, workers=2, **production) as serving:
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)),
            *("run", f"{serving.url}/openapi.json", "--checks", "all", "--max-examples", "20", "--seed", "7"),
            *("--header", f"Authorization: Bearer {serving.token('admin')}", "--continue-on-failure", "--no-color"),
        ]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert found.returncode == 0, found.stdout[-12_000:] + found.stderr[-2000:]
    assert "Failures:" not in found.stdout
    assert " 0 generated" not in found.stdout
