"""`python -m analog_fhn` is the command line."""

from __future__ import annotations

import sys

from analog_fhn._support import interrupts


def main() -> None:
    """Run the command line in a process of its own."""
    try:
        from analog_fhn.cli import main as command_line

        command_line()
    except KeyboardInterrupt:  # while the command line was loaded
        print(f"analog-fhn: {interrupts.MESSAGE}", file=sys.stderr)
        sys.exit(interrupts.STATUS)
    finally:
        interrupts.end_quietly()


if __name__ == "__main__":
    main()
