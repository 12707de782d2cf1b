"""Workers: the platform that offers tasks, and the processes that claim and do them."""
