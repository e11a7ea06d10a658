"""The faults of tests/fault, each as often as it takes to be sure."""

import subprocess
import sys

from tests.soak.report import Outcome


def faults() -> Outcome:
    """`python -m tests.fault --long`, which prints its own table."""
    ended = subprocess.run([sys.executable, "-m", "tests.fault", "--long"], check=False).returncode
    outcome = Outcome("faults", "Faults")
    outcome.expect("exit status of `python -m tests.fault --long`", ended, 0)
    return outcome
