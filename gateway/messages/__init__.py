"""What consumers see: records, topics, bytes and schemas. Pure."""
