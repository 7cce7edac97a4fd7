"""What the user sees: messages, tables and the progress of a training. Nothing else in the program prints."""
