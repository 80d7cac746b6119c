"""Users' folders and zips of images: their content, what is rejected, and each picture as network input.

Imports nothing else of the package and never torch, so that the app's server can read an upload as a race will.
"""
