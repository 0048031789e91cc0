"""The environments that this process has open, so that a file is never opened twice.

    open("a.ormdb")      ─┐
    open("./a.ormdb")    ─┼─> one Environment, counted; the last to let go closes it
    open("link to it")   ─┘

LMDB's locks belong to the pair of process and file: a second environment on one file would share
the locks of the first and free them when it is closed.  A file is what has one device and inode
number.  After a fork the child keeps what it inherited in memory, unused: to close it would free
the parent's locks.

Invariants (held by tests/unit/storage/test_lmdb_sharing.py):
  1. Two engines on one file share one environment, whatever path led to it.
  2. A forked process gets ForkError for every file its parent had open, and touches none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from ormdb.errors import BusyError, FormatError, UsageError
from ormdb.storage.lmdb.environment import Environment
from ormdb.storage.lmdb.faults import translate
from ormdb.storage.lmdb.opening import FILE_MODE, Settings
from ormdb.storage.lmdb.pages import is_empty_file
from ormdb.storage.lmdb.readers import forked_error

FileKey: TypeAlias = tuple[int, int]  # device, inode


class _Shared:
    """One environment and how many hold it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.holders = 1


class _Registry:
    """Everything this process has open."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open: dict[FileKey, _Shared] = {}
        self.forked: dict[FileKey, _Shared] = {}

    def after_fork(self) -> None:
        """In the child: what was open is the parent's."""
        self.lock = threading.Lock()
        for shared in self.open.values():
            shared.environment.poison()
        self.forked.update(self.open)
        self.open = {}


_registry: Final = _Registry()
os.register_at_fork(after_in_child=_registry.after_fork)


def hold(path: str, settings: Settings, *, create: bool) -> Environment:
    """The environment of a file, opened when nobody here has it open yet; `let_go` must follow.

    Raises:
      UsageError: there is no such file, or it is open here in another way.
      FormatError, CorruptionError: the file is not one of ours, or damaged.
    """
    with _registry.lock:
        create = create and not settings.read_only
        is_new = create and _create(path)
        try:
            key = _key_of(path)
            if key in _registry.forked:
                raise forked_error(path)
            shared = _registry.open.get(key)
            if shared is not None:
                _check_agreement(shared.environment, settings)
                shared.holders += 1
                return shared.environment
            if not create and is_empty_file(path):
                raise FormatError(f"{path} is empty; remove it, or open another file")
            place = os.path.realpath(path)
            if any(shared.environment.path == place for shared in _registry.open.values()):
                raise UsageError(
                    f"{path} was replaced while this process has it open; close that first"
                )
            environment = Environment(place, settings)
            if _key_of(path) != key:
                environment.close()
                raise BusyError(f"{path} was replaced while it was being opened; open it again")
        except BaseException:
            if is_new:
                _remove(path)
            raise
        _registry.open[key] = _Shared(environment)
        return environment


def hold_again(environment: Environment) -> None:
    """One more holder of an environment that is held."""
    with _registry.lock:
        _shared(environment)[1].holders += 1


def let_go(environment: Environment) -> None:
    """One holder less; the last one closes it."""
    with _registry.lock:
        key, shared = _shared(environment)
        shared.holders -= 1
        if not shared.holders:
            del _registry.open[key]
            environment.close()


@contextmanager
def held_alone(environment: Environment) -> Generator[None]:
    """No other engine of this process has the file, or opens it, before this ends.

    Its path may lead to another file by then.

    Raises:
      BusyError: another one has it.
    """
    with _registry.lock:
        key, shared = _shared(environment)
        if shared.holders > 1:
            raise BusyError(
                f"{environment.path} is open {shared.holders} times in this process; close all"
                " but one"
            )
        try:
            yield
        finally:
            del _registry.open[key]
            _registry.open[_key_of(environment.path)] = shared


def is_open_here(path: str) -> bool:
    """Whether this process has the file open."""
    with _registry.lock:
        return _key_of(path) in _registry.open


def _shared(environment: Environment) -> tuple[FileKey, _Shared]:
    for key, shared in _registry.open.items():
        if shared.environment is environment:
            return key, shared
    raise AssertionError(f"{environment!r} is not held")


def _create(path: str) -> bool:
    """Make an empty file that only its owner may read; False when there is one."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError:
        return False
    except FileNotFoundError as error:
        folder = Path(path).parent
        raise UsageError(f"{folder} does not exist, so {path} cannot; make the folder") from error
    except OSError as error:
        raise translate(error, path, "creating it") from error
    return True


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    Path(f"{path}-lock").unlink(missing_ok=True)


def _key_of(path: str) -> FileKey:
    place = Path(path)
    if place.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    try:
        stat = place.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"there is no file {path}; create it, or check the path") from error
    except OSError as error:
        raise translate(error, path, "opening it") from error
    return stat.st_dev, stat.st_ino


def _check_agreement(environment: Environment, settings: Settings) -> None:
    """A second opening gets the first one's environment, so it cannot ask for less safety."""
    has = environment.settings
    if has.read_only and not settings.read_only:
        raise UsageError(
            f"{environment.path} is open in this process for reading only;"
            " close that before opening it for writing"
        )
    if not settings.read_only and has.durability != settings.durability:
        raise UsageError(
            f"{environment.path} is open in this process with durability {has.durability!r};"
            f" open it so, or close it before opening it with {settings.durability!r}"
        )
