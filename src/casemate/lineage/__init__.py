"""What came from what and runs where: recorded, imported, proposed, followed."""
