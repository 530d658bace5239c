"""What the page asks, one file per question: a state goes in, numbers of the library come out as plain values."""
