"""Commands that compare the rows with what others have written down."""
