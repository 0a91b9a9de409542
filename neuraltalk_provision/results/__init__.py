"""The results that modules return from hosts, as frozen, typed objects with limits on sizes. Pure."""
