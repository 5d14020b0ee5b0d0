"""What reviewers ask: the checklist, the recommendations, and the form for what only people know."""
