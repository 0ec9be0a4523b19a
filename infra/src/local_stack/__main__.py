import signal

# Nothing has been started while modules are loaded, and a KeyboardInterrupt may get lost there: be ended by the signal.
handler = signal.signal(signal.SIGINT, signal.SIG_DFL)

from local_stack.cli import main  # noqa: E402

signal.signal(signal.SIGINT, handler)
main()
