"""The documents that are made from the messages: schemas, envelopes and pages for people."""
