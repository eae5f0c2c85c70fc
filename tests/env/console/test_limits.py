"""The grammar of limits: what is understood, and what a wrong one answers."""

import numpy as np
import pytest

from pretraingym.env.console.limits import EPOCHS, SHARE, Limit, read_limits
from pretraingym.lm.corpus.corpus import Labels
from pretraingym.lm.io.errors import InputError

NONE = np.zeros(0, np.uint16)
COLUMNS = {
    "domain": Labels(("wikipedia", "code", "a=b:c", "web"), None, NONE),
    "topic": Labels(("history", "web"), None, NONE),
    "tags": Labels(tuple(f"tag-{number}" for number in range(1000)), None, NONE),
}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (EPOCHS, "domain=wikipedia:4", Limit(EPOCHS, "domain", "wikipedia", 4)),
        (EPOCHS, "domain=wikipedia:0", Limit(EPOCHS, "domain", "wikipedia", 0)),
        (EPOCHS, "domain=a=b:c:1.5", Limit(EPOCHS, "domain", "a=b:c", 1.5)),
        (EPOCHS, "history=2", Limit(EPOCHS, "topic", "history", 2)),
        (SHARE, "topic=web:1e-3", Limit(SHARE, "topic", "web", 0.001)),
        (SHARE, "code=0.1", Limit(SHARE, "domain", "code", 0.1)),
        (SHARE, "a=b:c=0.1", Limit(SHARE, "domain", "a=b:c", 0.1)),
    ],
)
def test_understood(kind: str, text: str, expected: Limit) -> None:
    given = {EPOCHS: [text] if kind == EPOCHS else [], SHARE: [text] if kind == SHARE else []}
    assert read_limits(given[EPOCHS], given[SHARE], COLUMNS) == (expected,)


@pytest.mark.parametrize(
    ("epochs", "share", "told"),
    [
        (["domian=code:1"], [], "names label 'domian'; did you mean 'domain'? known: domain, tags, topic"),
        (["domain=cod:1"], [], "names category 'cod' of domain; did you mean 'code'? known: a=b:c, code, web, wikip"),
        (["tags=tag7:1"], [], "names category 'tag7' of tags; did you mean 'tag-7'? it has 1000 categories"),
        ([], ["web=0.1"], "--share web=0.1 names category 'web', which 2 labels have: write domain=web:0.1 or topic=w"),
        ([], ["cde=0.1"], "--share cde=0.1 names category 'cde', which no label has; did you mean 'code'? write LABEL"),
        (["domain=code"], [], "--epochs domain=code given, expected LABEL=CATEGORY:EPOCHS, as in domain=wikipedia:4"),
        ([], ["code:0.1"], "--share code:0.1 given, expected LABEL=CATEGORY:SHARE, as in domain=code:0.1"),
        ([], [""], "--share  given, expected LABEL"),
        ([], ["domain=code:0"], "--share domain=code:0 given, expected a share above 0, at most 1"),
        ([], ["domain=code:1.1"], "--share domain=code:1.1 given, expected a share above 0, at most 1"),
        ([], ["domain=code:nan"], "--share domain=code:nan given, expected a share above 0, at most 1"),
        (["domain=code:-1"], [], "--epochs domain=code:-1 given, expected 0 to 1,000,000 epochs"),
        (["domain=code:1e308"], [], "--epochs domain=code:1e+308 given, expected 0 to 1,000,000 epochs"),
        (["domain=code:inf"], [], "--epochs domain=code:inf given, expected 0 to 1,000,000 epochs"),
        (["domain=code:1", "code=2"], [], "--epochs domain=code:1 and --epochs domain=code:2 limit the same category"),
    ],
)
def test_refused(epochs: list[str], share: list[str], told: str) -> None:
    with pytest.raises(InputError) as error:
        read_limits(epochs, share, COLUMNS)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
