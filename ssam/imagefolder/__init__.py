"""Reading people's folders and zips of images: what is in them, what is refused, and each picture as a network gets it.

Imports nothing of ours and never torch, so that the server of pages can look at an upload as a race will.
"""
