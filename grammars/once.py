"""Properties that are worked out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast, overload

T = TypeVar("T")


class Once(Generic[T]):
    """A property that is worked out when it is first asked for, without a lock.

    `functools.cached_property` has one for all objects up to Python 3.11: a process that is forked
    while another thread holds it would wait for ever. Here two threads may work out the same at
    once; all get what the first of them has found.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Once[T]: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Once[T] | T:
        if instance is None:
            return self
        return cast(T, instance.__dict__.setdefault(self._name, self._make(instance)))


once = Once
