"""The rules of ingestion. They know neither HTTP nor rows nor messages in flight."""
