"""What a way of buying would have earned: history replayed by the day, under policies that see only the days before."""
