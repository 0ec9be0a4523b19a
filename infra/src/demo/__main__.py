import sys

try:
    from demo.cli import main
except KeyboardInterrupt:
    sys.exit(130)

main()
