"""Which jobs there are, which code they depend on, and how they are started."""
