"""The truth table of the gates: good and bad changes to real repositories, and what must become of each."""
