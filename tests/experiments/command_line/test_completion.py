"""The completion script completes commands and flags in a real shell."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pretraingym.experiments.command_line.completion import SHELLS
from pretraingym.experiments.command_line.parsing import parse
from pretraingym.experiments.command_line.table import COMMANDS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        parse(["completion", shell])
    assert end.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_it_names_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    assert [name for name in COMMANDS if name.split()[-1] not in text] == []


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"), [("pretraingym pret", "pretrain"), ("pretraingym corpus build --hold", "--hold-out")]
)
def test_bash_completes(words: str, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "script").write_text(script("bash", capsys))
    ask = (
        f"source {tmp_path / 'script'}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        "$(complete -p pretraingym | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False)
    assert expected in done.stdout.split(), done.stderr
