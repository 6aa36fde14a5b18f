"""From a folder of files to articles in the store.

    files.walk -> what changed (store.articles) -> readers (PDF, DOCX, HTML in a child process with
    limits) -> Document -> one transaction

A reader turns bytes into Documents, whose text is the small Markdown of app.knowledge.blocks. To
read a new format, write one function `read(data, name) -> Read` and name it in `readers.READERS`.
"""
