"""Builds in this process: the package `bb` of bitbake reads the layer and a stand-in for OpenEmbedded, and runs tasks.

The parser, overrides, classes, event handlers and what runs functions are bitbake's own. What is missing is the rest of
it (the server, the queue of tasks) and all that OpenEmbedded has: `stub/` holds the little that the layer needs of it.
"""

import builtins
import contextlib
import io
import logging
import os
import shutil
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from layer_files import LAYER, STUB

SLOTS: Final = "recipes-ota/bistable-slots/bistable-slots_1.0.bb"
IMAGE: Final = "tests/stub/recipes/image/stub-image_1.0.bb"
SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS: Final = Path(sys.executable).parent
"""Where the command `bistable` is, which a real build makes natively."""

SERVERS: Final = ("hashserv", "hashserv.client", "prserv", "prserv.serv")
"""Packages that bitbake imports, that are not in its wheel, and that nothing here uses."""


class RefusedError(Exception):
    """The build stopped with a message, which is the text."""


@dataclass
class Log(logging.Handler):
    """What bitbake says, warnings and worse, and what tasks print."""

    messages: list[str] = field(default_factory=list)
    output: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self.messages.append(repr(record.exc_info[1]))

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self.messages, self.output.getvalue()])


@dataclass
class Recipe:
    """A recipe as bitbake read it."""

    data: Any
    log: Log

    def value(self, name: str) -> str:
        """Return the value of a variable; empty if it has none."""
        return self.data.getVar(name) or ""

    def path(self, name: str) -> Path:
        """Return the place that a variable names, or that an expression with variables is."""
        return Path(self.data.expand(name) if "$" in name else self.value(name))

    def words(self, name: str) -> list[str]:
        """Return the words of a variable."""
        return self.value(name).split()

    def flag(self, name: str, flag: str) -> list[str]:
        """Return the words of a variable's flag."""
        return (self.data.getVarFlag(name, flag) or "").split()

    def set(self, **values: str) -> None:
        """Set variables after the recipe was read."""
        for name, value in values.items():
            self.data.setVar(name, value)

    def run(self, task: str, *, as_root: bool = False) -> str:
        """Run a task with what goes before and after it, and return what it printed.

        Raises:
            RefusedError: it failed.
        """
        import bb.build

        before = self.log.output.tell()
        if as_root and os.geteuid() != 0:
            self.data.setVar("FAKEROOT", "fakeroot")
            self.data.setVarFlag(task, "fakeroot", "1")
        # A shell's own file is what it prints to, unless that is caught here.
        with reporting(self.log), contextlib.redirect_stdout(self.log.output):
            try:
                for function in [*self.flag(task, "prefuncs"), task, *self.flag(task, "postfuncs")]:
                    bb.build.exec_func(function, self.data)
            except bb.process.ExecutionError as e:
                raise RefusedError(f"{self.log.text}\n{e}") from e
        return self.log.output.getvalue()[before:]

    def run_all(self, *tasks: str) -> None:
        """Run several tasks."""
        for task in tasks:
            self.run(task)


@contextlib.contextmanager
def reporting(log: Log) -> Iterator[None]:
    """Turn bitbake's way to stop into an error with all that it said."""
    import bb

    try:
        yield
    except bb.BBHandledException as e:
        raise RefusedError(log.text) from e
    except bb.parse.SkipRecipe as e:
        raise RefusedError(str(e)) from e
    except bb.data_smart.ExpansionError as e:
        raise RefusedError(f"{log.text}\n{e}") from e


class Build:
    """A build directory, and the configuration that bitbake makes of it."""

    def __init__(self, top: Path, log: Log, settings: str, *, machine: str, series: str, switch: str) -> None:
        from bb.cookerdata import CookerConfiguration, CookerDataBuilder

        self.top, self.log = top, log
        local = f'MACHINE ?= "{machine}"\n{switch}\n{settings}\n'
        layers = f'BBPATH = "{top}"\nBBFILES = ""\nSTUB_SERIES = "{series}"\nSTUB_PATH = "{TOOLS}:{SYSTEM_PATH}"\n'
        (top / "conf").mkdir(parents=True)
        (top / "conf" / "local.conf").write_text(local)
        (top / "conf" / "bblayers.conf").write_text(layers + f'BBLAYERS = "{STUB} {LAYER}"\n')
        configuration = CookerConfiguration()
        configuration.env = dict(os.environ) | {"BBPATH": str(top)}
        os.environ["BBPATH"] = str(top)
        self.builder = CookerDataBuilder(configuration)
        with reporting(log):
            self.builder.parseBaseConfiguration()
        self.configuration = Recipe(self.builder.data, log)

    def recipe(self, path: Path | str, *appends: Path, variant: str = "") -> Recipe:
        """Read a recipe: of the layer by its place there, or any other one by its path.

        Raises:
            RefusedError: it cannot be used.
        """
        virtual = f"virtual:{variant}:" if variant else ""
        with reporting(self.log):
            names = [str(append) for append in appends]
            data = self.builder.parseRecipe(f"{virtual}{LAYER / path}", names, "meta-ota")
        # The parser tells it this way, for the one who asked for the recipe.
        if skipped := data.getVar("__SKIPPED"):
            raise RefusedError(skipped)
        return Recipe(data, self.log)

    def skipped(self, path: Path | str) -> str:
        """Return why a recipe cannot be used."""
        with pytest.raises(RefusedError) as refused:
            self.recipe(path)
        return str(refused.value)

    def written(self, text: str, name: str = "demo_1.2.bb") -> Recipe:
        """Read a recipe that a test wrote."""
        path = self.top / name
        path.write_text(f'LICENSE = "CLOSED"\n{text}')
        return self.recipe(path)

    def slots(self) -> Recipe:
        """Run all tasks of the recipe of the slots, and put what it deploys where others look for it."""
        recipe = self.recipe(SLOTS)
        recipe.run_all("do_configure", "do_compile", "do_check", "do_install", "do_deploy")
        shutil.copytree(recipe.path("DEPLOYDIR"), recipe.path("DEPLOY_DIR_IMAGE"), dirs_exist_ok=True)
        return recipe

    def image(self) -> Recipe:
        """Read the recipe of an image, and make the directories that tasks before ours make."""
        recipe = self.recipe(IMAGE)
        for name in ("IMAGE_ROOTFS", "IMGDEPLOYDIR", "DEPLOY_DIR_IMAGE", "BISTABLE_DATA_TREE"):
            if recipe.value(name):
                recipe.path(name).mkdir(parents=True, exist_ok=True)
        return recipe


class Bench:
    """Makes builds, each in a directory of its own."""

    def __init__(self, top: Path) -> None:
        self.top, self.logs = top, list[Log]()

    def build(
        self,
        settings: str = "",
        *,
        machine: str = "qemux86-64",
        series: str = "wrynose",
        switch: str = 'INHERIT += "bistable"',
    ) -> Build:
        """Read a configuration: `settings` are lines of local.conf.

        Raises:
            RefusedError: bitbake stopped.
        """
        log = Log()
        logging.getLogger("BitBake").addHandler(log)
        self.logs.append(log)
        top = self.top / f"build-{len(self.logs)}"
        return Build(top, log, settings, machine=machine, series=series, switch=switch)

    def refusal(self, settings: str, *, machine: str = "qemux86-64", series: str = "wrynose") -> str:
        """Return what bitbake says when it stops because of a configuration."""
        with pytest.raises(RefusedError) as refused:
            self.build(settings, machine=machine, series=series)
        return str(refused.value)


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Undo what importing and using bitbake leaves in this process."""
    for name in SERVERS:
        if name not in sys.modules:
            stand_in = types.ModuleType(name)
            stand_in.__path__ = []
            sys.modules[name] = stand_in
    kept = {name: getattr(logging, name) for name in ("raiseExceptions", "LoggerAdapter")}
    logger_class, path, here, mask = logging.getLoggerClass(), list(sys.path), Path.cwd(), os.umask(0o022)
    environment = dict(os.environ)
    os.environ.clear()
    os.environ.update({"PATH": f"{TOOLS}:{SYSTEM_PATH}", "HOME": environment.get("HOME", "/"), "LC_ALL": "C.UTF-8"})
    import bb.build
    import bb.cookerdata
    import bb.event

    vars(builtins).update(bb=bb, os=os)
    logger = logging.getLogger("BitBake")
    handlers, logger.propagate = list(logger.handlers), False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, True
        bb.event.ui_queue.clear()
        bb.event.set_class_handlers(bb.event.clean_class_handlers())
        for name in ("bb", "os"):
            vars(builtins).pop(name, None)
        for name, value in kept.items():
            setattr(logging, name, value)
        logging.setLoggerClass(logger_class)
        sys.path[:] = path
        os.chdir(here)
        os.umask(mask)
        os.environ.clear()
        os.environ.update(environment)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give builds with bitbake's library."""
    pytest.importorskip("bitbake_setup", reason="bitbake-setup is not installed: the dependency group 'layer'")
    with contained():
        yield Bench(tmp_path)


def signatures(recipe: Recipe, tasks: Sequence[str]) -> Mapping[str, str]:
    """Return task -> what bitbake knows it by: a task runs anew when that changes."""
    import bb.data

    ignored = set(recipe.words("BB_BASEHASH_IGNORE_VARS"))
    found, dependencies, values = bb.data.generate_dependencies(recipe.data, ignored)
    _, hashes = bb.data.generate_dependency_hash(found, dependencies, values, ignored, "recipe")
    return {task: hashes[f"recipe:{task}"] for task in tasks}
