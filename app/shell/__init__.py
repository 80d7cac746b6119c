"""What surrounds a page: services, identity, classroom, address, links, middleware."""
