"""Mixed traffic for a long time: nothing leaks, and every call leaves exactly the rows that it should. See __main__."""
