"""What modules return from hosts, as typed objects with bounds that cannot be changed. Pure."""
