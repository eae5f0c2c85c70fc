"""python -m pretraingym COMMAND is pretraingym COMMAND."""

from .experiments.__main__ import main

if __name__ == "__main__":
    main()
