"""What an agent said, gathered from updates."""

from a2a.types import (
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

from codetether_ray.a2a.said import Said


def _piece(text: str, *, id_: str = "a", name: str = "response", append: bool = False) -> object:
    artifact = Artifact(artifact_id=id_, name=name, parts=[Part(text=text)])
    return StreamResponse(
        artifact_update=TaskArtifactUpdateEvent(
            task_id="t", context_id="c", artifact=artifact, append=append
        )
    )


def _status(state: TaskState, *words: str) -> StreamResponse:
    message = Message(parts=[Part(text=word) for word in words]) if words else None
    return StreamResponse(
        status_update=TaskStatusUpdateEvent(
            task_id="t", context_id="c", status=TaskStatus(state=state, message=message)
        )
    )


def test_pieces_of_an_artifact_make_one_text_and_others_are_named() -> None:
    said = Said()
    assert said.take(_piece("One ")) == "One "
    said.take(_piece("two.", append=True))
    said.take(_piece("+x", id_="p", name="changes.patch"))
    said.take(_status(TaskState.TASK_STATE_COMPLETED, "One two."))
    assert said.text == "One two.\n\nchanges.patch:\n+x"
    assert (said.state, said.task_id, said.context_id) == ("completed", "t", "c")


def test_a_question_is_what_the_status_says() -> None:
    said = Said()
    said.take(_status(TaskState.TASK_STATE_INPUT_REQUIRED, "Tabs or", "spaces?"))
    assert (said.state, said.text) == ("input_required", "Tabs or\nspaces?")


def test_a_message_answers_without_a_task() -> None:
    said = Said()
    assert said.take(StreamResponse(message=Message(parts=[Part(text="hi")]))) == "hi"
    assert (said.state, said.text, said.task_id) == ("answered", "hi", "")


def test_what_is_no_text_is_named() -> None:
    said = Said()
    task = Task(id="t", status=TaskStatus(state=TaskState.TASK_STATE_WORKING))
    parts = [
        Part(raw=b"123", filename="a.png", media_type="image/png"),
        Part(url="https://example.com/x"),
    ]
    task.artifacts.append(Artifact(artifact_id="a", parts=parts))
    said.take_task(task)
    assert said.text == "[a.png (image/png), 3 bytes]\n[a file at https://example.com/x]"
