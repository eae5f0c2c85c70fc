"""Measurements that back the numbers in the documentation; each prints one JSON object on its last line."""
