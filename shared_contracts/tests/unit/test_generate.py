"""Generated files are written, checked and cleaned up."""

from pathlib import Path

import pytest

from shared_contracts.generate import CHECKOUT, differing_files, documents, main, write

SCHEMA = "shared_contracts/schemas/ingestion/delivery_requested.v1.json"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "shared_contracts").mkdir()
    write(tmp_path, documents())
    return tmp_path


def check(root: Path) -> int:
    return main(["--check", "--root", str(root)])


def test_the_committed_files_are_the_generated_ones() -> None:
    assert differing_files(CHECKOUT, documents()) == []


def test_the_same_documents_are_made_every_time() -> None:
    assert documents() == documents()


def test_nothing_differs_when_just_written(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(checkout) == 0
    assert capsys.readouterr().out == ""


def test_a_changed_file_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / SCHEMA).write_text("{}")

    assert check(checkout) == 1
    assert capsys.readouterr().out == f"differs: {SCHEMA}\n"
    assert (checkout / SCHEMA).read_text() == "{}"


def test_a_missing_page_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "docs/generated/flow.md").unlink()

    assert check(checkout) == 1
    assert "docs/generated/flow.md" in capsys.readouterr().out


def test_a_file_of_a_message_that_is_gone_is_named_and_removed(checkout: Path) -> None:
    gone = checkout / "shared_contracts/examples/ingestion/delivery_forgotten.v1.json"
    gone.write_text("{}")

    assert check(checkout) == 1
    assert main(["--root", str(checkout)]) == 0
    assert not gone.exists()
    assert check(checkout) == 0


def test_pages_of_other_generators_are_left_alone(checkout: Path) -> None:
    page = checkout / "docs/generated/canvas.md"
    page.write_text("of somebody else")

    assert check(checkout) == 0
    assert main(["--root", str(checkout)]) == 0
    assert page.exists()


def test_only_what_differs_is_written(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / SCHEMA).unlink()

    assert main(["--root", str(checkout)]) == 0
    assert capsys.readouterr().out == f"written: {SCHEMA}\n"


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refusal:
        check(tmp_path)

    assert refusal.value.code == 2
