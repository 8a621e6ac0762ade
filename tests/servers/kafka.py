"""librdkafka's mock brokers: real TCP servers that speak the protocol and can be taken down."""

import ctypes
from pathlib import Path


def _library() -> ctypes.CDLL:
    import confluent_kafka

    root = Path(confluent_kafka.__file__).parent.parent
    (path,) = (root / "confluent_kafka.libs").glob("librdkafka*.so*")
    library = ctypes.CDLL(str(path))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_new", pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, ctypes.c_int]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_broker_set_down", ctypes.c_int, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", ctypes.c_int, [pointer, ctypes.c_int32]),
        (
            "rd_kafka_mock_topic_create",
            ctypes.c_int,
            [pointer, text, ctypes.c_int, ctypes.c_int],
        ),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class KafkaCluster:
    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        self.brokers = brokers

    def __enter__(self) -> "KafkaCluster":
        error = ctypes.create_string_buffer(512)
        self._client = self._library.rd_kafka_new(
            0, self._library.rd_kafka_conf_new(), error, len(error)
        )
        if not self._client:
            raise RuntimeError(error.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, self.brokers)
        return self

    @property
    def url(self) -> str:
        servers = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return f"kafka://{servers}"

    def topic(self, name: str, partitions: int) -> None:
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def down(self) -> None:
        for broker in range(1, self.brokers + 1):
            self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self) -> None:
        for broker in range(1, self.brokers + 1):
            self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def __exit__(self, *_: object) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
