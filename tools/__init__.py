"""What makes the tables that ship with the package."""
