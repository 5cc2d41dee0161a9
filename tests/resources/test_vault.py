"""The installation's key and the stand-ins that it makes."""

import hashlib
import hmac
import re
import stat
import subprocess
import sys
from pathlib import Path

from resources.vault import KEY_BYTES, KEY_FILE, Vault

HASH = """
import sys
from pathlib import Path
from resources.vault import Vault
print("ready", flush=True)
sys.stdin.read(1)
print(Vault(Path(sys.argv[1])).pseudonyms("customer", ["a@example.com"])["a@example.com"])
"""


def test_a_value_has_one_stand_in_on_every_day(tmp_path: Path) -> None:
    first = Vault(tmp_path).pseudonyms("customer", ["a@example.com", "b@example.com", "a@example.com"])
    assert first == Vault(tmp_path).pseudonyms("customer", ["b@example.com", "a@example.com"])
    assert len(set(first.values())) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in first.values())


def test_two_purposes_give_stand_ins_that_do_not_meet(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    assert vault.pseudonyms("customer", ["x"]) != vault.pseudonyms("supplier", ["x"])


def test_two_installations_give_stand_ins_that_do_not_meet(tmp_path: Path) -> None:
    stand_ins = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stand_ins.append(Vault(tmp_path / name).pseudonyms("customer", ["x"])["x"])
    assert stand_ins[0] != stand_ins[1]


def test_the_key_is_long_random_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    Vault(tmp_path).pseudonyms("customer", ["x"])
    file = tmp_path / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(bytes.fromhex(file.read_text(encoding="ascii"))) == KEY_BYTES


def test_nothing_to_hide_gives_nothing(tmp_path: Path) -> None:
    assert Vault(tmp_path).pseudonyms("customer", []) == {}


def test_processes_that_make_the_key_at_once_agree(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HASH, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    assert len({process.communicate(timeout=60)[0] for process in processes}) == 1


def test_a_key_that_was_never_written_whole_is_not_used(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).touch()
    key_of_nothing = hmac.digest(b"", b"customer", hashlib.sha256)
    known_to_everybody = hmac.new(key_of_nothing, b"x", hashlib.sha256).hexdigest()[:32]
    try:
        made = Vault(tmp_path).pseudonyms("customer", ["x"])["x"]
    except Exception as error:
        assert KEY_FILE in str(error)
    else:
        assert made != known_to_everybody
