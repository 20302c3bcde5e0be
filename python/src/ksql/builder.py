"""CREATE STREAM and CREATE TABLE statements from keyword arguments, in the words ksql-python uses."""

from __future__ import annotations

from ksql.errors import BuildNotImplmentError, IllegalTableTypeError, IllegalValueFormatError, SQLTypeNotImplementYetError

TABLE_TYPES = ("stream", "table")
VALUE_FORMATS = ("delimited", "json", "json_sr", "avro", "protobuf", "protobuf_nosr", "kafka", "none")


class SQLBuilder:
    @classmethod
    def build(cls, sql_type, **kwargs):
        """Returns the text of a statement; ``sql_type`` is "create" or "create_as"."""
        builders = {"create": CreateBuilder, "create_as": CreateAsBuilder}
        if sql_type not in builders:
            raise SQLTypeNotImplementYetError(sql_type)
        builder = builders[sql_type](kwargs.pop("table_type"))
        return builder.build(**kwargs)


class BaseCreateBuilder:
    def __init__(self, table_type):
        if table_type.lower() not in TABLE_TYPES:
            raise IllegalTableTypeError(table_type)
        self.table_type = table_type

    def build(self, **kwargs):
        raise BuildNotImplmentError()

    @staticmethod
    def _check_format(value_format):
        if value_format.lower() not in VALUE_FORMATS:
            raise IllegalValueFormatError(value_format)

    @staticmethod
    def _with(properties):
        """Returns `WITH (...)`: strings quoted, other values as they are, None left out."""
        shown = []
        for name, value in properties.items():
            if isinstance(value, str):
                escaped = value.replace("'", "''")
                shown.append(f"{name}='{escaped}'")
            elif isinstance(value, bool):
                shown.append(f"{name}={str(value).lower()}")
            elif value is not None:
                shown.append(f"{name}={value}")
        return f"WITH ({', '.join(shown)})"


class CreateBuilder(BaseCreateBuilder):
    """``CREATE STREAM|TABLE name (columns) WITH (...)``."""

    def build(self, table_name, columns_type=(), topic=None, value_format="JSON", key=None, **properties):
        """``columns_type``: ["id bigint", ...] or {"id": "bigint", ...}; ``properties``: more of WITH, e.g. partitions=3."""
        self._check_format(value_format)
        if isinstance(columns_type, dict):
            columns_type = [f"{name} {type}" for name, type in columns_type.items()]
        columns = ", ".join(columns_type)
        options = self._with({"kafka_topic": topic, "value_format": value_format, "key": key or None, **properties})
        return f"CREATE {self.table_type} {table_name} ({columns}) {options};"


class CreateAsBuilder(BaseCreateBuilder):
    """``CREATE STREAM|TABLE name WITH (...) AS SELECT columns FROM source [WHERE ...] [PARTITION BY ...]``."""

    def build(
        self,
        table_name,
        select_columns=None,
        src_table=None,
        kafka_topic=None,
        value_format="JSON",
        conditions=(),
        partition_by=None,
        **properties,
    ):
        """``conditions``: text, or a list of texts that must all hold; double quotes in it stand for single ones."""
        self._check_format(value_format)
        options = self._with({"kafka_topic": kafka_topic or table_name, "value_format": value_format, **properties})
        columns = ", ".join(select_columns) if select_columns else "*"
        if isinstance(select_columns, str):
            columns = select_columns
        text = f"CREATE {self.table_type} {table_name} {options} AS SELECT {columns} FROM {src_table}"
        if conditions:
            if not isinstance(conditions, str):
                conditions = conditions[0] if len(conditions) == 1 else " AND ".join(f"({each})" for each in conditions)
            text += " where " + conditions.replace('"', "'")
        if partition_by:
            text += f" PARTITION BY {partition_by}"
        return text
