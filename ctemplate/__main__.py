"""Lets `python -m ctemplate` be what `ctemplate` is."""

from ctemplate.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
