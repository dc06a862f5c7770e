"Writes constraints.txt: the exact versions in the environment that runs this, without our own package and local tags."

import re
import subprocess
import sys
from pathlib import Path

out = Path(__file__).parent.parent / "constraints.txt"
frozen = subprocess.run(
    [sys.executable, "-m", "pip", "freeze", "--exclude-editable"], capture_output=True, text=True, check=True
).stdout
pins = [
    re.sub(r"\+.*", "", line)
    for line in frozen.splitlines()
    if re.match(r"[\w.-]+==", line) and not line.startswith("mapperatorinator")
]
out.write_text(
    "# The exact versions CI uses; made by `make pin` from a working environment.\n" + "\n".join(pins) + "\n"
)
print(f"{len(pins)} versions in {out.name}")
