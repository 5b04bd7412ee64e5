"""Runs a module as ``python -m`` does, but never from the working folder: ``python start.py MODULE ...``.

With ``-m`` the working folder comes first on the path of modules, and a file beside a scan is taken for
a library. Here the folder of this script comes first, and is taken off.
"""

import runpy
import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):  # where it is set, the folder is not there
        del sys.path[0]
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
