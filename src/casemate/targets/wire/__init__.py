"""Pure protocol codecs: bytes to arrays and back, no sockets."""
