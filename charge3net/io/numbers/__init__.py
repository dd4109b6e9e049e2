"""Reading and writing the columns of numbers in density files."""
