"""Claims: is what somebody wrote the derivative, and if not, what was done to it?"""
