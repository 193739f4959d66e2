"""Records whose objects and arrays cannot be changed: they are shared without a copy, and a write to one is noticed."""

from collections.abc import Mapping

from xfworker.adapters.memory.table import field_names


def frozen(record, *, serial):
    """Give a record like this one, of this serial, that can be shared; one that can be is given as it is."""
    kind = type(record)
    fields = {name: getattr(record, name) for name in field_names(kind)}
    changes = {name: frozen_value(value) for name, value in fields.items() if value.__class__ in _CHANGEABLE}
    if not changes and serial == record.serial:
        return record
    return kind(**{**fields, **changes, "serial": serial})


def frozen_value(value):
    kind = value.__class__
    if kind in _SHARED:
        return value
    if kind is dict or isinstance(value, Mapping):
        made = FrozenDict(value)
        for key, item in value.items():
            if item.__class__ not in _SHARED:
                dict.__setitem__(made, key, frozen_value(item))
        return made
    if isinstance(value, list | tuple):
        return FrozenList(map(frozen_value, value))
    return value


def _refuse(self, *_, **__):
    raise RuntimeError(f"what a record store keeps was to be changed in place: {self}")


class FrozenDict(dict):
    """A dictionary that stays as it is."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo):
        return dict(self)


class FrozenList(list):
    """A list that stays as it is."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = remove = _refuse
    reverse = sort = _refuse

    def __deepcopy__(self, memo):
        return list(self)


_CHANGEABLE = frozenset({dict, list})
_SHARED = frozenset({str, int, float, bool, type(None), FrozenDict, FrozenList})
