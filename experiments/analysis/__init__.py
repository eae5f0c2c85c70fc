"""The numbers of a comparison: gains, intervals and costs."""
