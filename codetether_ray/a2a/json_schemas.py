"""JSON Schemas of the protocol's messages, made from their descriptors (ProtoJSON's mapping)."""

from typing import Any

from google.api.field_behavior_pb2 import REQUIRED, field_behavior
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor

Schema = dict[str, Any]
_REF = "#/components/schemas/"
_SCALARS: dict[int, Schema] = {
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    FieldDescriptor.TYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.TYPE_FLOAT: {"type": "number"},
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
}


class Schemas:
    """Schemas that refer to each other by the messages' full names."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}
        """Those that were referred to, for `components/schemas`."""

    def message(self, descriptor: Descriptor) -> Schema:
        """A message: where its schema is found, or the schema of a well-known one."""
        name = descriptor.full_name
        if name in _WELL_KNOWN:
            return _WELL_KNOWN[name]
        if name not in self.found:
            self.found[name] = {}  # it may hold itself
            self.found[name] = self._object(descriptor)
        return {"$ref": _REF + name}

    def field(self, field: FieldDescriptor) -> Schema:
        """What a field holds.

        Raises:
            KeyError: it has a type that the protocol did not use yet.
        """
        if not field.is_repeated:
            return self._one(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {"type": "object", "additionalProperties": self._one(value)}
        return {"type": "array", "items": self._one(field)}

    def _one(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            unknown = 1 if is_required(field) else 0  # the first one says that nothing was said
            return {"type": "string", "enum": _names(field.enum_type)[unknown:]}
        return _SCALARS[field.type]

    def _object(self, descriptor: Descriptor) -> Schema:
        fields = list(descriptor.fields)
        made: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in fields},
        }
        if required := [field.json_name for field in fields if is_required(field)]:
            made["required"] = required
        if choices := [_one_of(oneof) for oneof in descriptor.oneofs if oneof.fields[1:]]:
            made["allOf"] = choices
        return made


def is_required(field: FieldDescriptor) -> bool:
    """Whether the protocol's definition says that the field must be there."""
    return REQUIRED in field.GetOptions().Extensions[field_behavior]


def _one_of(oneof: OneofDescriptor) -> Schema:
    """At most one of its fields, as ProtoJSON has it."""
    names = [field.json_name for field in oneof.fields]
    none = {"not": {"anyOf": [{"required": [name]} for name in names]}}
    return {"oneOf": [*({"required": [name]} for name in names), none]}


def _names(enum: EnumDescriptor) -> list[str]:
    return [value.name for value in enum.values]
