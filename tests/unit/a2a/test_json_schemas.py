"""Schemas of the protocol's messages say what its JSON may be, and what it may not."""

from typing import Any

import pytest
from a2a.types import Message, Part, Role, SendMessageRequest, Task, TaskState
from google.protobuf.json_format import MessageToDict
from jsonschema import Draft202012Validator

from codetether_ray.a2a.json_schemas import Schemas


def validator(kind: type[Any]) -> Draft202012Validator:
    schemas = Schemas()
    ref = schemas.message(kind.DESCRIPTOR)
    whole = {**ref, "components": {"schemas": schemas.found}}
    Draft202012Validator.check_schema(whole)
    return Draft202012Validator(whole)


def a_message(**fields: Any) -> dict[str, Any]:
    return {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}], **fields}


def test_a_task_as_it_is_told_fits_its_schema() -> None:
    task = Task(id="t", context_id="c")
    task.status.state = TaskState.TASK_STATE_COMPLETED
    task.status.timestamp.seconds = 5
    parts = [Part(text=""), Part(raw=b"\0"), Part(url="http://x", filename="f")]
    task.history.append(Message(message_id="m", role=Role.ROLE_AGENT, parts=parts))
    task.metadata.update({"deep": {"er": [1, None, "x"]}})
    validator(Task).validate(MessageToDict(task))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"message": {"role": "ROLE_USER", "parts": []}},
        {"message": a_message(role="ROLE_UNSPECIFIED")},
        {"message": a_message(role=1.5)},
        {"message": a_message(parts=[{"text": "a", "url": "http://b"}])},
        {"message": a_message(parts=[{"text": 5}])},
        {"message": a_message(metadata=[])},
        {"message": a_message(), "configuration": {"historyLength": "many"}},
    ],
)
def test_a_request_that_the_protocol_does_not_know_fits_none(wrong: dict[str, Any]) -> None:
    checked = validator(SendMessageRequest)
    checked.validate({"message": a_message(), "configuration": {"historyLength": 3}})
    assert not checked.is_valid(wrong)
