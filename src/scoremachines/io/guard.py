"""Calls with an argument of a wrong type end in an `InputError`, wherever they break.

Every public function, method and constructor of the package is guarded as its module is loaded.
Texts, paths and flags are checked before the call. Everything else may be of any type that does
what is wanted of it: only when a call breaks is each argument held against its annotation, and
the first that does not fit is named in place of the exception that it led to.
"""

from __future__ import annotations

import functools
import inspect
import operator
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from os import PathLike
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from scoremachines.errors import InputError

__all__ = ["guard_package", "guarded"]

MISSING = object()


def guarded(function: Callable[..., Any], about: str | None = None) -> Callable[..., Any]:
    """Return a function that refuses arguments of a wrong type with an `InputError`.

    Args:
        function: an annotated function or method; its signature and documentation are kept.
        about: documentation of its arguments; that of the function by default.

    Returns:
        The guarded function.
    """
    guard = _Guard(function, inspect.cleandoc(about or function.__doc__ or ""))

    def steps(iterator: Iterator[Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        try:
            return (yield from iterator)
        except Exception as error:
            guard.explain(error, args, kwargs)
            raise

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        guard.check(args, kwargs)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            guard.explain(error, args, kwargs)
            raise
        return steps(result, args, kwargs) if guard.is_generator else result

    return call


class WrongTypeError(InputError):
    """An argument is not of the type that it should be."""


class _Stands(type):
    """The kind of classes that stand for a type: an object is of it if `fits` is true of it."""

    def __instancecheck__(cls, instance: object) -> bool:
        try:
            return bool(cls.fits(instance))
        except Exception:  # of any object, whatever it does when it is looked at
            return False

    def __getattr__(cls, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, item: object) -> object:
        return cls

    def fits(cls, instance: Any) -> object:
        """Return whether an object does what is wanted of the type."""
        return True


class _Anything(metaclass=_Stands):
    """Stands for a type that is imported for type checkers only, and for all parts of it."""


class _Whole(metaclass=_Stands):
    """Stands for `int`: whole numbers of every library."""

    @classmethod
    def fits(cls, instance: Any) -> object:
        return operator.index(instance) is not None


class _Real(metaclass=_Stands):
    """Stands for `float`: real numbers of every library."""

    @classmethod
    def fits(cls, instance: Any) -> object:
        return not isinstance(instance, str | bytes) and float(instance) is not None


class _Tensor(metaclass=_Stands):
    """Stands for `Tensor`: one that has real values in memory."""

    @classmethod
    def fits(cls, instance: Any) -> object:
        unusable = instance.is_meta or instance.is_sparse or instance.is_complex()
        return not unusable and isinstance(instance.requires_grad, bool)


LIBERAL: dict[str, Any] = {
    "int": _Whole,
    "float": _Real | _Whole,
    "bool": bool | _Real,
    "Path": str | PathLike,
    "Tensor": _Tensor,
}
"""What stands for the types that annotations name."""
CHECKED_FIRST = {str, PathLike, bool}
"""Types that nothing else stands in for, and whose misuse often breaks nothing."""
PLAIN = {*CHECKED_FIRST, type(None), _Real}


class _Guard:
    """What is known of a function's arguments, found out when it is first needed."""

    def __init__(self, function: Callable[..., Any], about: str) -> None:
        self.function, self.about = function, about
        self.is_generator = inspect.isgeneratorfunction(function)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The annotations as types; names that only type checkers import stand for anything."""
        known = dict(LIBERAL)
        package = sys.modules.get(self.function.__module__.partition(".")[0])
        while True:
            try:
                return get_type_hints(self.function, localns=known)
            except NameError as error:
                known[str(error.name)] = getattr(package, str(error.name), _Anything)

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    @functools.cached_property
    def checked_first(self) -> list[tuple[int, str, tuple[type, ...]]]:
        """Place, name and types of the arguments that are checked before the call."""
        found = []
        for place, name in enumerate(self.signature.parameters):
            hint = self.hints.get(name)
            kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
            plain = all(kind in PLAIN for kind in kinds)
            if plain and not CHECKED_FIRST.isdisjoint(kinds) and self._is_single(name):
                found.append((place, name, kinds))
        return found

    def _is_single(self, name: str) -> bool:
        """Return whether the name is that of one argument: not `*args`, not `**kwargs`."""
        parameter = self.signature.parameters[name]
        return parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)

    def check(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Refuse what is no text, path or flag where one is wanted."""
        for place, name, kinds in self.checked_first:
            value = args[place] if place < len(args) else kwargs.get(name, MISSING)
            if value is not MISSING and not isinstance(value, kinds):
                raise self._refusal(name, value)

    def explain(self, error: Exception, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Name an argument of a wrong type in place of the error that it led to, if there is one.

        Where guarded functions call each other, the outermost has the last word: its arguments are
        those that the user knows.
        """
        if isinstance(error, InputError) and not isinstance(error, WrongTypeError):
            return
        from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

        try:
            given = self.signature.bind(*args, **kwargs).arguments
        except TypeError:  # one that there is not, or too few
            return
        for name, value in given.items():
            if name in self.hints and self._is_single(name):
                try:
                    check_type(
                        value,
                        self.hints[name],
                        forward_ref_policy=ForwardRefPolicy.IGNORE,
                        collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
                    )
                except TypeCheckError:
                    raise self._refusal(name, value) from error

    def _refusal(self, name: str, value: Any) -> InputError:
        accepted = str(self.signature.parameters[name].annotation)
        known = re.search(rf"^ {{4}}{name}: (.+(?:\n {{8,}}.+)*)", self.about, re.MULTILINE)
        accepted += f" ({known[1].rstrip('.')})" if known else ""
        return WrongTypeError(name, value, accepted, f"{type(value).__name__} does not fit")


def _guard_module(module: ModuleType) -> None:
    """Guard what a module lists in `__all__`: functions, and the methods of classes."""
    for name in getattr(module, "__all__", ()):
        found = vars(module).get(name)  # what is loaded later belongs to another module
        if getattr(found, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(found):
            setattr(module, name, guarded(found))
        elif inspect.isclass(found) and not getattr(found, "_is_protocol", False):
            _guard_class(found)


def _guard_class(found: type) -> None:
    for name, member in list(vars(found).items()):
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        about = found.__doc__ if name == "__init__" else None
        if inspect.isfunction(member):
            setattr(found, name, guarded(member, about))
        elif isinstance(member, classmethod | staticmethod):
            setattr(found, name, type(member)(guarded(member.__func__)))


class _Finder(MetaPathFinder):
    """Finds the package's modules as usual, and guards each once it is loaded."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{self.package}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceLoader):
            _guard_loader(spec.loader)
        return spec


def _guard_loader(loader: Loader) -> None:
    load = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        load(module)
        _guard_module(module)

    loader.exec_module = exec_module  # type: ignore[method-assign]


def guard_package(package: str) -> None:
    """Guard every module of a package that is loaded from now on.

    Args:
        package: its name.
    """
    sys.meta_path.insert(0, _Finder(package))
