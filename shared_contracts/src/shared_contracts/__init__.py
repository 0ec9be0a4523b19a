"""The messages that the services exchange, and the names of the topics and queues they travel on."""
