"""`python -m sempre`: the same as the `sempre` command."""

from sempre.cli import main

if __name__ == "__main__":
    main()
