"""The ground floor: reading files and text that anyone may have written. Knows nothing of segmentation.

* ``files``: a regular file is opened and read, or refused in one sentence; nothing here can hang.
* ``text``: YAML, JSON and XML of bounded depth and size; names made safe for a terminal.
"""
