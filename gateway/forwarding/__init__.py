"""From the outbox to a broker: lanes decide, the forwarder does, the publisher speaks MQTT."""
