"""OpenAI-compatible chat: questions, whole answers, and answers that come piece by piece.

Bytes to text, both ways round. `messages` (chat completions), `prompt` (completions) and `input`
(embeddings, responses) are read; a streamed answer is server-sent events, each a JSON chunk, and
ends with `[DONE]`.

Source: platform.openai.com/docs/api-reference; html.spec.whatwg.org, Server-sent events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import numbers
from casemate.targets.wire.tensor import MAX_STRINGS, Answer, Message, Text, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = "application/json"
EVENTS = "text/event-stream"
SEPARATOR = "\x1f"
MAX_LINE = 1 << 20
MAX_TEXT = 1 << 20


_Prompt = str | list[str | int | list[int]]
"""Text, texts, tokens, or several lists of tokens."""


class Asked(NamedTuple):
    """What a request asks: one text per prompt."""

    model: str
    texts: tuple[str, ...]
    stream: bool = False
    user: str | None = None


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    refusal: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _Item(msgspec.Struct):
    role: str = ""
    content: str | list[_Part] | None = None
    output: Any = None


class _Request(msgspec.Struct):
    model: str = ""
    messages: list[_Message] | None = None
    prompt: _Prompt | None = None
    input: msgspec.Raw = msgspec.Raw(b"")
    text_input: str | None = None
    stream: bool | None = None
    user: str | None = None


class _Said(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Said | None = None
    delta: _Said | None = None
    text: str | None = None
    finish_reason: str | None = None
    index: int = 0


class _Embedding(msgspec.Struct):
    embedding: list[float] | str = ""
    index: int = 0


class _OutputItem(msgspec.Struct):
    type: str = ""
    content: list[_Part] | None = None


class _Response(msgspec.Struct):
    model: str = ""
    choices: list[_Choice] | None = None
    data: list[_Embedding] | None = None
    output: list[_OutputItem] | None = None
    text_output: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    type: str = ""
    delta: msgspec.Raw = msgspec.Raw(b"")
    text_output: str | None = None


def encode_request(model: str, texts: Sequence[str], *, stream: bool = False) -> Message:
    """Write a question of user messages, asked in turn."""
    said = [{"role": "user", "content": text} for text in texts]
    extra = {"stream": True} if stream else {}
    return Message(numbers.dump({"model": model, "messages": said, **extra}), JSON)


def decode_request(message: Message) -> Asked:
    """Read a question.

    A conversation is one text: what was said since the model last spoke, as what came before has
    been asked already. Prompts and inputs are one text each; tokens are read as their numbers.

    Raises:
        FormatError: Not the protocol, or nothing is asked.
        LimitExceeded: Too many prompts, or nested too deeply.
    """
    found = numbers.parse(message.body, _Request)
    given = memoryview(found.input).nbytes > 0
    forms = (found.messages is not None, found.prompt is not None, given, found.text_input)
    if sum(form is not None and form is not False for form in forms) != 1:
        raise FormatError("not exactly one of messages, prompt, input and text_input")
    if found.messages is not None:
        texts: tuple[str, ...] = (_turn(found.messages),)
    elif found.prompt is not None:
        texts = _prompts(found.prompt)
    elif found.text_input is not None:
        texts = (found.text_input,)
    else:
        texts = _input(found.input)
    if not texts:
        raise FormatError("a question without a prompt")
    if len(texts) > MAX_STRINGS:
        raise LimitExceeded(f"{len(texts)} prompts; {MAX_STRINGS} is the limit")
    return Asked(found.model, texts, bool(found.stream), found.user)


def encode_response(model: str, text: str, *, finish: str = "stop") -> Message:
    """Write a whole answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
    }
    body = {"object": "chat.completion", "model": model, "choices": [choice]}
    return Message(numbers.dump(body), JSON)


def encode_stream(model: str, pieces: Sequence[str], *, finish: str = "stop") -> list[bytes]:
    """Write an answer piece by piece, one event each, `[DONE]` at the end."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"content": one}, None) for one in pieces]
    deltas.append(({}, finish))
    events = [
        {
            "object": "chat.completion.chunk",
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in deltas
    ]
    return [b"data: " + numbers.dump(one) + b"\n\n" for one in events] + [b"data: [DONE]\n\n"]


def decode_response(message: Message) -> Answer:
    """Read a whole answer: the texts `text`, or the tensor `embedding`.

    Raises:
        FormatError: Not the protocol.
    """
    if message.content_type == EVENTS:
        stream = Stream()
        stream.feed(message.body)
        stream.end()
        return Answer((), (Text("text", (stream.text,)),))
    found = numbers.parse(message.body, _Response)
    if found.choices is not None:
        return Answer((), (Text("text", tuple(_choice(one) for one in found.choices)),))
    if found.output is not None:
        said = [_content(one.content) for one in found.output if one.type == "message"]
        return Answer((), (Text("text", ("".join(said),)),))
    if found.text_output is not None:
        return Answer((), (Text("text", (found.text_output,)),))
    vectors = [one.embedding for one in found.data or ()]
    if not vectors or any(isinstance(one, str) for one in vectors):
        raise FormatError("an answer without choices, output or embeddings")
    try:
        return Answer((tensor("embedding", np.array(vectors, np.float64)),))
    except ValueError as error:
        raise FormatError("embeddings of unequal length") from error


class Stream:
    """Reads server-sent events as they come, however they are cut; memory is bounded."""

    def __init__(self) -> None:
        self.finish: str | None = None
        """Why the model stopped, once it said so."""
        self.done = False
        """Whether `[DONE]` was seen."""
        self.pieces = 0
        self.broken = 0
        """Events that could not be read."""
        self.length = 0
        """Characters said so far; `text` keeps the first MAX_TEXT."""
        self._said: list[str] = []
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._skipping = False

    @property
    def text(self) -> str:
        """What was said so far, of the first choice."""
        return "".join(self._said)[:MAX_TEXT]

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        lines = (self._rest + chunk).replace(b"\r\n", b"\n")
        held = b""
        if lines.endswith(b"\r"):
            # The next chunk says whether it is a line of its own or half of CR LF.
            lines, held = lines[:-1], b"\r"
        *whole, rest = lines.replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._line(line)
        self._rest = rest + held
        if len(self._rest) > MAX_LINE:
            self._rest = b""
            self.broken += not self._skipping
            self._skipping = True

    def end(self) -> None:
        """Take the end of the stream: an event without its empty line is not lost."""
        if self._rest:
            self._line(self._rest.rstrip(b"\r"))
            self._rest = b""
        self._event()

    def _line(self, line: bytes) -> None:
        if self._skipping:
            # The tail of a line that was too long.
            self._skipping = False
            return
        if not line:
            self._event()
        elif line.startswith(b"data:"):
            self._size += len(line)
            if self._size <= MAX_LINE:
                self._data.append(line[5:].removeprefix(b" "))

    def _event(self) -> None:
        data, size = b"\n".join(self._data), self._size
        self._data, self._size = [], 0
        if size > MAX_LINE:
            self.broken += 1
            return
        if not data:
            return
        if data.strip() == b"[DONE]":
            self.done = True
            return
        self.pieces += 1
        try:
            chunk = numbers.parse(data, _Chunk)
            said = _piece(chunk)
        except FormatError:
            self.broken += 1
            return
        for choice in chunk.choices or ():
            self.finish = choice.finish_reason or self.finish
        if said:
            if self.length < MAX_TEXT:
                self._said.append(said)
            self.length += len(said)


def _piece(chunk: _Chunk) -> str:
    if chunk.text_output is not None:
        return chunk.text_output
    if chunk.choices is None:
        # The responses API says what a piece is by its type.
        if chunk.type == "response.output_text.delta":
            return numbers.parse(chunk.delta, str)
        return ""
    return "".join(_choice(one) for one in chunk.choices if one.index == 0)


def _choice(choice: _Choice) -> str:
    said = choice.message or choice.delta
    if said is None:
        return choice.text or ""
    return _content(said.content) or said.refusal or ""


def _content(content: str | list[_Part] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text or part.refusal or "" for part in content)


def _turn(messages: list[_Message]) -> str:
    if not messages:
        raise FormatError("a conversation without messages")
    last = max((i for i, one in enumerate(messages) if one.role == "assistant"), default=-1)
    new = messages[last + 1 :] or messages[-1:]
    return SEPARATOR.join(_content(one.content) for one in new)


def _prompts(prompt: _Prompt) -> tuple[str, ...]:
    if isinstance(prompt, str):
        return (prompt,)
    if any(isinstance(one, int) for one in prompt):
        return (" ".join(str(one) for one in prompt),)
    return tuple(" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in prompt)


def _input(raw: msgspec.Raw) -> tuple[str, ...]:
    first = numbers.opening(raw)
    if first != b"{":
        kind: Any = _Prompt
        return _prompts(numbers.parse(raw, kind))
    items = numbers.parse(raw, list[_Item])
    last = max((i for i, one in enumerate(items) if one.role == "assistant"), default=-1)
    new = items[last + 1 :] or items[-1:]
    said = [
        _content(one.content) or (one.output if isinstance(one.output, str) else "") for one in new
    ]
    return (SEPARATOR.join(said),) if said else ()
