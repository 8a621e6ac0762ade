"""Events and Orders over a message broker: NATS JetStream and Kafka."""
