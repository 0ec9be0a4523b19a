"""Services of every released version and of today understand each other, and a version is released only once."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared_contracts.catalogue import MESSAGES
from shared_contracts.example_messages import EXAMPLES, Example
from shared_contracts.generate import CHECKOUT, documents, write
from shared_contracts.generation.schemas import MESSAGE_TYPE
from shared_contracts.release import (
    RELEASED,
    broken_releases,
    main,
    released_examples,
    released_schemas,
    released_versions,
)

VERSIONS = released_versions(CHECKOUT)
RELEASED_EXAMPLES = [
    (version, path, body) for version in VERSIONS for path, body in released_examples(CHECKOUT, version).items()
]

each_version = pytest.mark.parametrize("version", VERSIONS)
each_released_example = pytest.mark.parametrize(("version", "path", "body"), RELEASED_EXAMPLES)
each_example_of_today = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)


def schema_path(example_path: str) -> str:
    """The path of the schema for an example, whose variant comes after a dot."""
    publisher, _, name = example_path.partition("/")
    return f"{publisher}/{'.'.join(name.split('.')[:2])}"


def test_a_version_is_released() -> None:
    assert VERSIONS
    assert RELEASED_EXAMPLES


def test_nothing_breaks_a_released_version() -> None:
    changes = [f"{version}: {change}" for version, found in broken_releases(CHECKOUT).items() for change in found]

    # The message lists all of them; the difference of two lists would be cut short.
    assert not changes, "\n".join(["make a new version instead, see shared_contracts/README.md", *changes])


@each_version
def test_every_released_message_has_an_example(version: str) -> None:
    schemas = released_schemas(CHECKOUT, version)

    assert {schema_path(path) for path in released_examples(CHECKOUT, version)} == set(schemas)


@each_released_example
def test_yesterdays_examples_fit_todays_models(version: str, path: str, body: dict[str, Any]) -> None:
    message_type = released_schemas(CHECKOUT, version)[schema_path(path)][MESSAGE_TYPE]

    message = MESSAGES[message_type].model_validate_json(json.dumps(body))

    assert body.keys() <= message.model_dump().keys(), "a field of yesterday was forgotten"


@each_released_example
def test_yesterdays_examples_with_unknown_fields_fit_todays_models(
    version: str, path: str, body: dict[str, Any]
) -> None:
    model = MESSAGES[released_schemas(CHECKOUT, version)[schema_path(path)][MESSAGE_TYPE]]

    assert model.model_validate({**body, "field_of_tomorrow": {"a": 1}}) == model.model_validate(body)


@each_released_example
def test_yesterdays_examples_fit_yesterdays_schemas(version: str, path: str, body: dict[str, Any]) -> None:
    Draft202012Validator(released_schemas(CHECKOUT, version)[schema_path(path)]).validate(body)


@each_version
@each_example_of_today
def test_todays_examples_fit_yesterdays_schemas(version: str, example: Example) -> None:
    released = released_schemas(CHECKOUT, version).get(schema_path(example.path))
    if released is not None:
        Draft202012Validator(released).validate(example.body)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the messages of today, nothing released yet."""
    project = tmp_path / "shared_contracts"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "shared-contracts"\nversion = "1.9.0"\n')
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## 1.10.0\n\n## 1.9.0\n")
    write(tmp_path, documents())
    return tmp_path


def release(root: Path) -> int:
    return main(["--root", str(root)])


def set_version(root: Path, version: str) -> None:
    (root / "shared_contracts/pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')


def test_a_release_freezes_schemas_and_examples(checkout: Path) -> None:
    assert release(checkout) == 0

    assert released_versions(checkout) == ["1.9.0"]
    assert len(released_schemas(checkout, "1.9.0")) == len(MESSAGES)
    assert set(released_examples(checkout, "1.9.0")) == {example.path for example in EXAMPLES}
    assert broken_releases(checkout) == {}


def test_a_released_version_is_not_released_again(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release(checkout)

    assert release(checkout) == 1
    assert "1.9.0 is released already" in capsys.readouterr().err


def test_versions_are_ordered_by_number(checkout: Path) -> None:
    release(checkout)
    set_version(checkout, "1.10.0")
    assert release(checkout) == 0

    assert released_versions(checkout) == ["1.9.0", "1.10.0"]


def test_a_version_without_changelog_is_not_released(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_version(checkout, "1.11.0")

    assert release(checkout) == 1
    assert "no section ## 1.11.0" in capsys.readouterr().err
    assert released_versions(checkout) == []


def test_a_version_is_not_released_while_files_differ(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "docs/generated/flow.md").unlink()

    assert release(checkout) == 1
    assert "docs/generated/flow.md differs" in capsys.readouterr().err


def test_a_version_that_breaks_another_is_not_released(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    release(checkout)
    frozen = checkout / RELEASED / "1.9.0/schemas/delivery/delivery_failed.v1.json"
    schema = json.loads(frozen.read_text())
    schema["required"].append("apology")
    schema["properties"]["apology"] = {"type": "string"}
    frozen.write_text(json.dumps(schema))
    set_version(checkout, "1.10.0")

    assert release(checkout) == 1
    assert "breaks 1.9.0: delivery/delivery_failed.v1 apology: field removed" in capsys.readouterr().err
    assert [str(change) for change in broken_releases(checkout)["1.9.0"]] != []


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as refusal:
        release(tmp_path)

    assert refusal.value.code == 2
