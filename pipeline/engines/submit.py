"""A run handed to a Spark cluster: the package packed, and the `spark-submit` line that takes it along.

Executors unpack what `--archives` sends and find it by PYTHONPATH: as files, since word lists and compiled kernels are
no use inside a zip. What the package needs (pyarrow, numba ...) must be there: in the image, or in a packed environment.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import RecipeError, TamisError
from . import java
from .local import ONE_THREAD
from .spark import DEFAULTS

ENTRY = Path(__file__).with_name("submitted.py")
UNPACKED, ENVIRONMENT = "tamis-package", "tamis-environment"
FOLDERS = ("pipeline", "operators", "selectors", "flows", "recipes")


@dataclass(frozen=True)
class Submission:
    """What goes to the cluster.

    Attributes:
        master: spark://host:port, yarn, k8s://https://host:port, local[n].
        package: the zip or wheel with tamis; None: the executors have it.
        environment: a packed environment (venv-pack, conda-pack) with all that tamis needs; None: the executors have it.
        settings: of Spark; they go before ours.
        cluster: whether the driver runs there too (yarn and k8s; the image or environment must then have tamis).
    """

    master: str
    package: Path | None = None
    environment: Path | None = None
    settings: Mapping[str, str] | None = None
    cluster: bool = False

    def line(self, arguments: Sequence[str]) -> list[str]:
        """The words of the `spark-submit` line for `tamis ARGUMENTS`."""
        if self.cluster and self.master.startswith(("spark://", "local")):
            raise RecipeError(f"--master {self.master}: the driver of a Python application runs in a cluster of yarn or k8s only")
        sent = ((self.package, UNPACKED), (self.environment, ENVIRONMENT))
        archives = [f"{path.resolve()}#{name}" for path, name in sent if path]
        words = [_spark_submit(), "--master", self.master, "--name", "tamis"]
        words += ["--deploy-mode", "cluster"] if self.cluster else []
        words += ["--archives", ",".join(archives)] if archives else []
        for key, value in self._settings().items():
            words += ["--conf", f"{key}={value}"]
        entry = f"local://{ENTRY}" if self.master.startswith("k8s://") and self.cluster else str(ENTRY)
        return [*words, entry, *arguments]

    def _settings(self) -> dict[str, str]:
        told = DEFAULTS | {f"spark.executorEnv.{key}": value for key, value in ONE_THREAD.items()}
        if self.package:
            told["spark.executorEnv.PYTHONPATH"] = UNPACKED
        if self.environment:
            told["spark.pyspark.python"] = f"./{ENVIRONMENT}/bin/python"
            told["spark.pyspark.driver.python"] = f"./{ENVIRONMENT}/bin/python" if self.cluster else sys.executable
        elif not self.cluster:
            told["spark.pyspark.python"] = os.environ.get("PYSPARK_PYTHON", sys.executable)
            told["spark.pyspark.driver.python"] = sys.executable
        return told | dict(self.settings or {})


def _spark_submit() -> str:
    """SPARK_HOME's, else that of the installed pyspark."""
    home = os.environ.get("SPARK_HOME")
    found = importlib.util.find_spec("pyspark")
    if not home and (found is None or found.origin is None):
        raise RecipeError("submitting needs SPARK_HOME or the extra 'spark': pip install 'tamis[spark]'")
    return str(Path(home or Path(str(found.origin)).parent) / "bin" / "spark-submit")  # type: ignore[union-attr]


def packed(wheel: Path | None, folder: Path) -> Path:
    """A zip of the package in `folder`: a wheel under the name that Spark unpacks, or, without one, what is installed here."""
    target, installed = folder / "tamis.zip", _files()
    if wheel is None:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
            for name, path in sorted(installed.items()):
                out.write(path, name)
    else:
        if not zipfile.is_zipfile(wheel):
            raise RecipeError(f"--package {wheel}: neither a wheel nor a zip")
        shutil.copyfile(wheel, target)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as out:
        for name in sorted(installed.keys() & set(out.namelist())):
            if name.endswith(".py") and out.read(name) == installed[name].read_bytes():
                for kernel in _kernels(installed[name]):
                    out.write(kernel, f"{name.rpartition('/')[0]}/__pycache__/{kernel.name}")
    return target


def _kernels(source: Path) -> list[Path]:
    """What numba has compiled of a file here: it takes them there too where the source is the same and the processor is."""
    return sorted(p for p in (source.parent / "__pycache__").glob(f"{source.stem}.*") if p.suffix in (".nbi", ".nbc"))


def _files() -> dict[str, Path]:
    """Name in the package -> file, of the installed package, be it editable or not."""
    found: dict[str, Path] = {}
    for module in ("tamis", *(f"tamis.{folder}" for folder in FOLDERS)):
        spec = importlib.util.find_spec(module)
        for base in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
            inside = base.rglob("*") if module != "tamis" else base.glob("*.py")
            if module == "tamis" and not (base / "__main__.py").exists():
                continue  # an editable install names the repository too
            for path in inside:
                if path.is_file() and "__pycache__" not in path.parts:
                    found.setdefault("/".join([*module.split("."), *path.relative_to(base).parts]), path)
    return found


def submit(submission: Submission, arguments: Sequence[str]) -> int:
    """Run the line, and answer its exit status."""
    java.prepare()
    return subprocess.run(submission.line(arguments), check=False).returncode


def scratch() -> Path:
    """A folder for what is sent along, until this process ends."""
    try:
        return Path(tempfile.mkdtemp(prefix="tamis-submit-"))
    except OSError as e:
        raise TamisError(f"no folder for temporary files ({e}): set TMPDIR to one") from e
