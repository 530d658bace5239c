"""`python -m analog_fhn` is the command line."""

from analog_fhn.cli import main

if __name__ == "__main__":
    main()
