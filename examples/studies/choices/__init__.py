"""What the study of choices computes of a ladder, and how the page shows it."""
