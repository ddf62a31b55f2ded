"""What tests stand on: real servers, factories, receivers."""
