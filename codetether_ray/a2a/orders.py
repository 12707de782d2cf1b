"""Orders as bytes: what a task's record keeps, so that another replica can go on."""

import json

from a2a.types import Message, Task

from codetether_ray.a2a.agents import Order
from codetether_ray.core.codec import decode, encode
from codetether_ray.core.principals import Principal

PUSHES_LEFT = b"pushes"
"""The order of a task that has ended and whose receivers have not all been told."""


def encode_order(order: Order) -> bytes:
    """The order without its task: a line of JSON, then the message."""
    head = {"principal": encode(order.principal), "output_modes": list(order.output_modes)}
    message: bytes = order.message.SerializeToString()
    return json.dumps(head).encode() + b"\n" + message


def decode_order(order: bytes, task: Task) -> Order:
    """The order, to be taken up.

    Raises:
        ValueError: these are not the bytes of an order.
    """
    head, _, message = order.partition(b"\n")
    fields = json.loads(head)
    return Order(
        task=task,
        message=Message.FromString(message),
        principal=decode(Principal, fields["principal"]),
        output_modes=tuple(fields["output_modes"]),
        is_taken_up=True,
    )
