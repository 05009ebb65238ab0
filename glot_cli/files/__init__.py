"""Everything that touches untrusted or half-written files.

Files of others are opened without trust: what they claim is checked before it is read, and nothing in them is run.
`opening` tells what a file is, `archives` and `contents` read weights, `sources` opens data sets; their faults speak of
bytes (`faults`), and whoever opened the file puts its name in front. What a library in C reads and a bad file may crash
is read in a process of its own (`apart`). Our own files are written whole or not at all (`atomic`, `npz`).
"""
