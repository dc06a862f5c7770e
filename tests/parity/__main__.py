"`python tests/parity FAMILY [FOLDER]`, and `python tests/parity carry FIXTURES`, which makes the carried oracles anew."

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # where the package `parity` is, as pytest has it

import parity  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(parity.__doc__)
    if sys.argv[1] == "carry" and len(sys.argv) == 3:
        from parity.carry import main

        sys.exit(main(sys.argv[2]))
    sys.exit(parity.main(sys.argv[1], *sys.argv[2:] or [parity.DATA]))
