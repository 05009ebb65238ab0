"""A record as one web page that needs neither a server nor the network.

`page.html`, `style.css` and the scripts are joined into one file, with the record (`packing`), a small copy of the
video (`preview`) and three.js, of which `three/entry.js` says what was taken and how.
"""
