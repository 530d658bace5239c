"""What the pages "How to add ..." add to analog_fhn, each thing in one file."""
