"""Rows to a pandas DataFrame with the declared types, a column at a time.

| SQL | pandas |
| --- | --- |
| BOOLEAN, INTEGER, BIGINT | boolean, Int32, Int64 (NULL is <NA>) |
| DOUBLE | float64 (NULL is NaN) |
| STRING | string |
| TIMESTAMP | datetime64[ns], or datetime64[ms] when a year does not fit in that |
| all others | object, with the values of `martlet.types` |
"""

from __future__ import annotations

from .types import converter


class FrameBuilder:
    """Collects batches of rows (lists in column order) and makes one DataFrame of them."""

    def __init__(self, names, types):
        self.names = list(names)
        self.types = list(types)
        self.count = 0
        self._columns = [_column(type) for type in self.types]

    def append(self, rows):
        if not rows:
            return
        self.count += len(rows)
        for column, values in zip(self._columns, zip(*rows)):
            column.append(values)

    def frame(self):
        import pandas

        data = {index: column.array() for index, column in enumerate(self._columns)}
        frame = pandas.DataFrame(data, index=pandas.RangeIndex(self.count), copy=False)
        frame.columns = self.names
        return frame


def _column(type):
    if type.name == "DOUBLE":
        return _Doubles()
    if type.name in ("INTEGER", "BIGINT", "BOOLEAN"):
        return _Masked(type.name)
    if type.name == "STRING":
        return _Strings()
    if type.name == "TIMESTAMP":
        return _Timestamps()
    return _Objects(converter(type))


class _Doubles:
    def __init__(self):
        self.parts = []

    def append(self, values):
        import numpy

        # None becomes NaN, and the texts "NaN" and "Infinity" become what they name.
        self.parts.append(numpy.array(values, dtype=numpy.float64))

    def array(self):
        import numpy

        return numpy.concatenate(self.parts) if self.parts else numpy.empty(0, numpy.float64)


class _Masked:
    """Integers and booleans beside a mask of NULLs, so that 64-bit integers stay exact when there are NULLs."""

    def __init__(self, name):
        import numpy

        self.boolean = name == "BOOLEAN"
        self.type = {"INTEGER": numpy.int32, "BIGINT": numpy.int64, "BOOLEAN": numpy.bool_}[name]
        self.parts, self.masks = [], []

    def append(self, values):
        import numpy

        if None in values:
            mask = numpy.array([value is None for value in values])
            values = [0 if value is None else value for value in values]
        else:
            mask = numpy.zeros(len(values), numpy.bool_)
        self.parts.append(numpy.array(values, dtype=self.type))
        self.masks.append(mask)

    def array(self):
        import numpy
        import pandas

        make = pandas.arrays.BooleanArray if self.boolean else pandas.arrays.IntegerArray
        if not self.parts:
            return make(numpy.empty(0, self.type), numpy.empty(0, numpy.bool_))
        return make(numpy.concatenate(self.parts), numpy.concatenate(self.masks))


class _Strings:
    def __init__(self):
        self.values = []

    def append(self, values):
        self.values.extend(values)

    def array(self):
        import pandas

        return pandas.array(self.values, dtype="string")


class _Timestamps:
    def __init__(self):
        self.parts = []

    def append(self, values):
        import numpy

        texts = ["NaT" if value is None else value.rstrip("Z") if isinstance(value, str) else value for value in values]
        if all(isinstance(value, str) for value in texts):
            self.parts.append(numpy.array(texts, dtype="datetime64[ms]"))
        else:
            self.parts.append(numpy.array([numpy.datetime64(value, "ms") for value in texts]))

    def array(self):
        import numpy

        values = numpy.concatenate(self.parts) if self.parts else numpy.empty(0, "datetime64[ms]")
        known = values[~numpy.isnat(values)]
        limit = numpy.datetime64("2262-01-01", "ms")
        if len(known) and (known.max() >= limit or known.min() <= numpy.datetime64("1678-01-01", "ms")):
            return values
        return values.astype("datetime64[ns]")


class _Objects:
    def __init__(self, convert):
        self.convert = convert
        self.values = []

    def append(self, values):
        self.values.extend(values if self.convert is None else map(self.convert, values))

    def array(self):
        import numpy

        array = numpy.empty(len(self.values), dtype=object)
        array[:] = self.values
        return array
