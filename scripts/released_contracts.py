#!/usr/bin/env python
"""Says what of the table contracts changed since the last release; ``--write`` makes them the released ones.

A release writes; nobody else. Exit 1 when a change cannot be made to a table that is there (tasks/core/released.py says why).
"""

import argparse
import sys

from tasks.core.contracts import all_contracts
from tasks.core.released import PATH, as_released, incompatible_changes, released, rendered


def main() -> None:
    """Compare, print, write when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="record the contracts as released")
    arguments = parser.parse_args()
    before, now = released(), as_released(all_contracts())
    wrong = incompatible_changes(before, now)
    if wrong:
        sys.exit("\n".join(wrong))
    added = [f"new table {name}" for name in now if name not in before]
    added += [
        f"new column {name}.{column}"
        for name, table in now.items()
        if name in before
        for column in table["columns"]
        if column not in before[name]["columns"]
    ]
    print("\n".join(added) or "the contracts are as they were released")
    if arguments.write:
        PATH.write_text(rendered(now), encoding="utf-8")


if __name__ == "__main__":
    main()
