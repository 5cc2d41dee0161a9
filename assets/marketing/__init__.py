"""What is said to customers, and what it did: experiments on campaigns."""
