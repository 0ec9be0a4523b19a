"""What people see of the answers of the service."""
