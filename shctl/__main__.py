"""Run shctl as `python3 -m shctl`."""

from shctl.cli.main import main

if __name__ == "__main__":
    main()
