"""What `spark-submit` runs: `spark-submit [...] submitted.py run RECIPE` is `tamis run RECIPE` with the session that it starts.

`tamis submit` prints and runs such a line; where this file lies says `python -m tamis submit --entry`.
"""

import runpy
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, which is no place to import from
    runpy.run_module("tamis", run_name="__main__", alter_sys=True)
