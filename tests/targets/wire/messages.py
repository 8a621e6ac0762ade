"""The Open Inference Protocol's messages on Google's own runtime, built from the field numbers.

What the hand-written codec is held against, and what the gRPC server of the tests speaks.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

F = descriptor_pb2.FieldDescriptorProto


def _messages() -> dict[str, Any]:
    """Build the protocol's messages at run time."""
    file = descriptor_pb2.FileDescriptorProto(
        name="oip.proto", package="inference", syntax="proto3"
    )

    def message(name: str, *fields: tuple[int, str, int, bool, str]) -> None:
        made = file.message_type.add(name=name)
        for number, field, kind, many, of in fields:
            made.field.add(
                name=field,
                number=number,
                type=kind,  # type: ignore[arg-type]
                label=F.LABEL_REPEATED if many else F.LABEL_OPTIONAL,
                type_name=f".inference.{of}" if of else None,
            )

    message(
        "Contents",
        (1, "bool_contents", F.TYPE_BOOL, True, ""),
        (2, "int_contents", F.TYPE_INT32, True, ""),
        (3, "int64_contents", F.TYPE_INT64, True, ""),
        (4, "uint_contents", F.TYPE_UINT32, True, ""),
        (5, "uint64_contents", F.TYPE_UINT64, True, ""),
        (6, "fp32_contents", F.TYPE_FLOAT, True, ""),
        (7, "fp64_contents", F.TYPE_DOUBLE, True, ""),
        (8, "bytes_contents", F.TYPE_BYTES, True, ""),
    )
    message(
        "Tensor",
        (1, "name", F.TYPE_STRING, False, ""),
        (2, "datatype", F.TYPE_STRING, False, ""),
        (3, "shape", F.TYPE_INT64, True, ""),
        (5, "contents", F.TYPE_MESSAGE, False, "Contents"),
    )
    message("Wanted", (1, "name", F.TYPE_STRING, False, ""))
    message(
        "Request",
        (1, "model_name", F.TYPE_STRING, False, ""),
        (2, "model_version", F.TYPE_STRING, False, ""),
        (3, "id", F.TYPE_STRING, False, ""),
        (5, "inputs", F.TYPE_MESSAGE, True, "Tensor"),
        (6, "outputs", F.TYPE_MESSAGE, True, "Wanted"),
        (7, "raw_input_contents", F.TYPE_BYTES, True, ""),
    )
    message(
        "Response",
        (1, "model_name", F.TYPE_STRING, False, ""),
        (2, "model_version", F.TYPE_STRING, False, ""),
        (3, "id", F.TYPE_STRING, False, ""),
        (5, "outputs", F.TYPE_MESSAGE, True, "Tensor"),
        (6, "raw_output_contents", F.TYPE_BYTES, True, ""),
    )
    message(
        "Model",
        (1, "name", F.TYPE_STRING, False, ""),
        (2, "versions", F.TYPE_STRING, True, ""),
        (3, "platform", F.TYPE_STRING, False, ""),
        (4, "inputs", F.TYPE_MESSAGE, True, "Tensor"),
        (5, "outputs", F.TYPE_MESSAGE, True, "Tensor"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call]
    return {
        made.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"inference.{made.name}")  # type: ignore[no-untyped-call]
        )
        for made in file.message_type
    }


GOOGLE = _messages()
