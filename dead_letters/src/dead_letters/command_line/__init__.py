"""The command `dlq`: support's hands on the dead letters. It knows nothing but their HTTP interface."""
