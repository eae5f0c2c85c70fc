"""Records: the rows of data files and of datasets, and the faults of rows that are none."""
