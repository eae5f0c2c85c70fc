"""The table of commands is complete, and is read without the libraries that commands need."""

import subprocess
import sys

from pretraingym.experiments.command_line.table import COMMANDS


def test_every_command_says_what_it_does() -> None:
    assert {name for name, command in COMMANDS.items() if not command.load()[0].__doc__} == set()
    for name, command in COMMANDS.items():
        doc = " ".join(str(command.load()[0].__doc__).split())
        assert doc.startswith(command.about()), name
        assert len(command.about()) > 20


def test_help_and_typos_do_not_load_torch() -> None:
    code = (
        "import sys\n"
        "from pretraingym.experiments.command_line.parsing import parse\n"
        "for words in (['--help'], ['pretrian'], ['corpus', 'build', '--help']):\n"
        "    try: parse(words)\n"
        "    except BaseException as error: print(type(error).__name__, file=sys.stderr)\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["SystemExit", "InputError", "SystemExit", "False"]
