"""Making sure that the machine has RabbitMQ, without ever leaving a broker of the system running."""

import shutil

from local_stack.errors import StackError
from local_stack.rabbitmq_node import SERVER_SCRIPT
from local_stack.system_packages import can_install, install

PACKAGE = "rabbitmq-server"
_CHOICES = """RabbitMQ is not installed on this machine. Choose one:
  - install it:              sudo apt-get install --no-install-recommends rabbitmq-server
    (then keep its own broker from running: sudo systemctl disable --now rabbitmq-server)
  - let this command do so:  run it as root, or as a user who may use sudo without a password
  - use containers instead:  install Docker with Compose, then `make up STACK=compose`"""

_KEEP_BROKER_OFF = "update-rc.d rabbitmq-server disable\n"
_KEEP_EPMD_OFF = "if command -v systemctl; then systemctl disable epmd.service epmd.socket || true; fi\n"


def require_rabbitmq() -> None:
    """Install the system's package when it is missing and we may. Raises StackError naming the choices otherwise."""
    if is_installed():
        return
    if not can_install():
        raise StackError(_CHOICES)
    had_epmd = shutil.which("epmd") is not None
    try:
        install([PACKAGE], afterwards=_KEEP_BROKER_OFF + ("" if had_epmd else _KEEP_EPMD_OFF))
    except StackError as error:
        raise StackError(f"{error}\n{_CHOICES}") from error
    if not is_installed():
        raise StackError(f"the package {PACKAGE} brought no {SERVER_SCRIPT}\n{_CHOICES}")


def is_installed() -> bool:
    """Whether everything that a private node needs is on this machine."""
    return SERVER_SCRIPT.exists() and all(shutil.which(command) for command in ("erl", "epmd", "erl_call"))
