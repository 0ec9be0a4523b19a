"""The package gives its names when they are asked for, so that who needs few of them loads little."""

import subprocess
import sys

import pytest

import shared_runtime


@pytest.mark.parametrize("name", shared_runtime.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(shared_runtime, name).__name__ == name


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = shared_runtime.Nothing


def test_a_migration_loads_neither_the_web_framework_nor_the_broker_s_client() -> None:
    program = "import sys, shared_runtime.migrate; print({'fastapi', 'aio_pika', 'opentelemetry'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
