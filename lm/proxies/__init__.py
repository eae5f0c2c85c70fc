"""Many small language models trained as one program."""
