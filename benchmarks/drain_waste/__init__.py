"""What a drain pays for causes that are already known, beside what three other rules would pay."""
