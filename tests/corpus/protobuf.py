"""Protobuf messages and ONNX models, byte by byte."""


def varint(value):
    """Encode an unsigned number."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """Encode a field: a number as varint, text and bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def tensor(name="w", dims=(2,), kind=1, raw=bytes(8), location=None):
    """Return a TensorProto."""
    out = b"".join(field(1, size) for size in dims) + field(2, kind) + field(8, name)
    if location is not None:
        return out + field(13, field(1, "location") + field(2, location)) + field(14, 1)
    return out + field(9, raw)


def node(operator="Add", domain="", attributes=()):
    """Return a NodeProto."""
    out = field(1, "x") + field(2, "y") + field(4, operator) + (field(7, domain) if domain else b"")
    return out + b"".join(field(5, attribute) for attribute in attributes)


def graph(nodes=(), tensors=()):
    """Return a GraphProto."""
    inside = b"".join(field(1, each) for each in nodes)
    return inside + field(2, "g") + b"".join(field(5, each) for each in tensors)


def model(inside=b"", functions=(), producer="maker"):
    """Return a ModelProto."""
    out = field(1, 8) + field(2, producer) + field(7, inside or graph([node()], [tensor()]))
    return out + field(8, field(2, 17)) + b"".join(field(25, each) for each in functions)
