"""Documents of a made-up installation: the split by file, repetition, caps and determinism, each from the outside."""

from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

from pretraingym.lm.ingest import installed_files as installed
from pretraingym.lm.ingest.extract import MAX_BYTES, domains_of, extract
from pretraingym.lm.ingest.installed_files import SourceFile, installed_files, listing_hash, read_text, tree_files
from pretraingym.lm.ingest.installed_text import Document, InstalledText, Repetition, installed_documents

CONFIG = InstalledText(
    domain_bytes=dict.fromkeys(("prose", "code"), 60_000)
    | dict.fromkeys(("tests", "native", "data", "licences"), 15_000),
    reference_bytes=10_000,
    distribution_share=1.0,
    folder_share=0.3,
)


@pytest.fixture
def files(fake_site: Path, monkeypatch: pytest.MonkeyPatch) -> list[SourceFile]:
    """The made-up packages as the installation's only ones, with no standard library."""
    found = list(metadata.distributions(path=[str(fake_site)]))
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    monkeypatch.setattr(installed, "tree_files", lambda root, owner: [])
    return installed_files()


def test_files_are_those_of_the_records(files: list[SourceFile], fake_site: Path) -> None:
    """Every listed file that can give documents, none from outside, named by its distribution."""
    on_disk = [path.relative_to(fake_site).as_posix() for path in fake_site.rglob("*") if path.is_file()]
    assert {file.name.partition("/")[2] for file in files} == {name for name in on_disk if domains_of(name)}
    assert {file.distribution for file in files} == {f"package{i}" for i in range(4)}
    assert all(file.size == file.path.stat().st_size for file in files)


def test_listing_hash_knows_names_and_sizes(files: list[SourceFile]) -> None:
    """Another size, another name or a file less is another listing."""
    first = files[0]
    others = [
        [SourceFile(first.name, first.path, first.size + 1), *files[1:]],
        [SourceFile(first.name + "x", first.path, first.size), *files[1:]],
        files[1:],
    ]
    assert len({listing_hash(listing) for listing in [files, *others]}) == 4


def test_split_by_file(files: list[SourceFile]) -> None:
    """All documents of one file lie in one split, every split has some, and reference splits hold their own task."""
    splits = installed_documents(files, CONFIG)
    taken_apart = [(file.name, extract(file.name, read_text(file))) for file in files]
    sources = {text: name for name, domains in taken_apart for texts in domains.values() for text in texts}
    owners: dict[str, set[str]] = {}
    for split, documents in splits.items():
        assert documents, f"{split} is empty"
        for document in documents:
            owners.setdefault(sources[document.text], set()).add(split)
            assert split == "train" or split.startswith(f"{document.domain}/")
    assert {name: found for name, found in owners.items() if len(found) > 1} == {}, "files in several splits"
    assert len(owners) > 100


def test_no_domain_exceeds_its_limit(files: list[SourceFile]) -> None:
    """No domain has more text than its limit, apart from the end of the document that fills it."""
    documents = installed_documents(files, CONFIG)["train"]
    used = Counter[str]()
    for document in documents:
        used[document.domain] += len(document.text)
    for domain, limit in CONFIG.domain_bytes.items():
        assert 0 < used[domain] < limit + MAX_BYTES, domain
    assert used["code"] >= CONFIG.domain_bytes["code"]


def test_deterministic_and_seeded(files: list[SourceFile]) -> None:
    """The same files in any order give the same documents; another seed deals them out otherwise."""
    first = installed_documents(files, CONFIG)
    assert installed_documents(files[::-1], CONFIG) == first
    other = installed_documents(files, InstalledText(1, CONFIG.domain_bytes, 10_000, 0.05, 1.0, 0.3))
    assert other["prose/test"] != first["prose/test"]


def test_copies_are_left_out(fake_site: Path, tmp_path: Path) -> None:
    """A second copy of every file, and one under other class names and numbers, adds nothing."""
    files = tree_files(fake_site, "one")
    copied = []
    for file in files:
        path = tmp_path / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.path.read_bytes())
        copied.append(SourceFile(file.name.replace("one/", "two/"), path, file.size))
    limits = dict.fromkeys(CONFIG.domain_bytes, 10**9)
    huge = InstalledText(domain_bytes=limits, distribution_share=1.0, folder_share=1.0)

    def texts(listing: list[SourceFile]) -> Counter[str]:
        return Counter(document.text for part in installed_documents(listing, huge).values() for document in part)

    repeated = [text for text, count in texts(files + copied).items() if count > 1]
    assert not repeated


def test_repetition_rules() -> None:
    """Renamed copies are copies in code and not in tables; nothing may share a paragraph with a reference."""
    code = (
        "class Alpha(Base):\n    def forward(self, hidden_states, attention_mask):\n        return hidden_states\n" * 2
    )
    seen = Repetition()
    assert seen.accept(code, exact=False, reference=False)
    assert not seen.accept(code, exact=False, reference=False)
    assert not seen.accept(code.replace("Alpha", "Beta2"), exact=False, reference=False)
    assert seen.accept(code.replace("hidden", "other"), exact=False, reference=False)
    table = "1.0,2.0,3.0\n" * 20
    assert seen.accept(table, exact=True, reference=False)
    assert seen.accept(table.replace("1.0", "4.0"), exact=True, reference=False)
    held = "a sentence of the reference that goes on and on until it is long enough to be told from others by its words"
    assert seen.accept(held, exact=False, reference=True)
    filler = "\n\n".join(f"{word} " * 60 for word in ("one", "two", "three", "four", "five", "six"))
    assert not seen.accept(f"{filler}\n\n{held}", exact=False, reference=False)
    assert seen.accept(filler, exact=False, reference=False)


def test_unreadable_files_are_left_out(tmp_path: Path) -> None:
    """Missing, binary and oversized files read as nothing."""
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    (tmp_path / "nul.py").write_bytes(b"x = '\0'\n")
    assert [read_text(file) for file in tree_files(tmp_path, "x")] == ["", ""]
    assert read_text(SourceFile("x", tmp_path / "none.py", 10)) == ""
    assert read_text(SourceFile("x", tmp_path / "latin.py", 10**9)) == ""


def test_document_is_text_and_domain() -> None:
    """Documents compare by content."""
    assert Document("a", "prose") == Document("a", "prose") != Document("a", "code")
