"""Entry point: `devicelogin` and `python -m devicelogin`."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from devicelogin.cli import main as command_line

        status = command_line.run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command line could take care of it
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
