"""What must be true before current flows: files that fit together, and the cell that was booked."""
