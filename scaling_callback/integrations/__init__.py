"""Other trainers, one file each over the same recorder; none imports another."""
