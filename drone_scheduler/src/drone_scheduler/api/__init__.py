"""HTTP: the fleet for its staff, bookings and utilization for owners."""
