"""When faults end a build, and what is said of them."""

import re

import pytest

from pretraingym.lm.io.errors import InputError
from pretraingym.lm.records.faults import EXAMPLES, FILES, HOPELESS, Faults
from pretraingym.lm.records.record import BadFile, BadRow


def bad(number: int, kind: str = "without a JSON object") -> BadRow:
    return BadRow(f"a.jsonl line {number}", kind, "expected one object a line", f"char {number}")


@pytest.mark.parametrize(
    ("good", "share", "refused"), [(99, 0.01, False), (98, 0.01, True), (2, 0.4, False), (5, 0, True)]
)
def test_bad_rows_up_to_a_share(good: int, share: float, refused: bool) -> None:
    faults = Faults(share, good=good)
    faults.add(bad(1))
    if refused:
        message = f"1 of {good + 1} rows are bad, more than the share of {share:g} allowed; 1 row without a JSON object"
        with pytest.raises(InputError, match=message):
            faults.decide()
    else:
        faults.decide()


def test_all_kinds_and_files_are_told_at_once() -> None:
    faults = Faults(good=7)
    for number in range(1, 6):
        faults.add(bad(number))
    faults.add(bad(9, "with stray quotes"))
    faults.add(BadFile("b.gz cannot be read"))
    with pytest.raises(InputError) as error:
        faults.decide()
    assert str(error.value) == (
        "b.gz cannot be read; 6 of 13 rows are bad, more than the share of 0.01 allowed; "
        "5 rows without a JSON object (expected one object a line): a.jsonl line 1 (char 1), a.jsonl line 2 (char 2), "
        "a.jsonl line 3 (char 3), ...; "
        "1 row with stray quotes (expected one object a line): a.jsonl line 9 (char 9); "
        "leave these files out or mend them"
    )


def test_a_bad_file_is_refused_however_many_rows_are_allowed() -> None:
    faults = Faults(1.0, good=1)
    for number in range(FILES + 5):
        faults.add(BadFile(f"{number}.gz cannot be read"))
    with pytest.raises(InputError, match=f"{FILES - 1}.gz cannot be read; and 5 more bad files; leave these files out"):
        faults.decide()


def test_strict_stops_at_the_first() -> None:
    for fault in (bad(3), BadFile("b.gz cannot be read")):
        with pytest.raises(InputError, match=re.escape(str(fault))):
            Faults(1.0, strict=True).add(fault)


def test_hopeless_from_the_first_row_on() -> None:
    """A wrong column's name is found soon, but not where a good row was."""
    faults, lucky = Faults(), Faults(good=1)
    for number in range(1, HOPELESS):
        faults.add(bad(number))
        lucky.add(bad(number))
    lucky.add(bad(HOPELESS))
    with pytest.raises(InputError, match="10,000 of 10,000 rows are bad"):
        faults.add(bad(HOPELESS))
    everything = Faults(1.0)
    for number in range(HOPELESS + 1):
        everything.add(bad(number))


@pytest.mark.parametrize(("share_read", "refused"), [(0.001, False), (0.15, False), (0.3, True)])
def test_it_is_known_early_that_the_rest_cannot_make_it_good(share_read: float, refused: bool) -> None:
    """1,000 of 10,000 rows are bad: a tenth, which the rest of the source makes a hundredth if it is large."""
    faults = Faults(good=9000, share_read=lambda: share_read)
    for number in range(999):
        faults.add(bad(number))
    if refused:
        with pytest.raises(InputError, match="1,000 of 10,000 rows are bad"):
            faults.add(bad(1000))
    else:
        faults.add(bad(1000))


def test_memory_does_not_grow_with_the_bad_rows() -> None:
    faults = Faults(good=10**9)
    for number in range(5000):
        faults.add(bad(number))
    assert faults.facts() == {
        "rows": 10**9 + 5000,
        "bad": 5000,
        "kinds": {"without a JSON object": {"rows": 5000, "first": [bad(number).where for number in range(EXAMPLES)]}},
    }
    assert Faults(good=3).facts() == {}
