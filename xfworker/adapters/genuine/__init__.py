"""
The ports of a script over the genuine ``xfworkerutil``: what its documented calls can do, and no more.

The wire protocol and the JSON of the genuine platform are not public; its Python module is. A lab that knows its JSON
says in a key map what the keys are called.
"""
