"""Terminal output: messages, tables and the progress of training. No other package prints."""
