"""Knowledge between banks: deltas between those that talk, signed files between those that do not.

``anti_entropy`` asks, ``replica`` answers; ``log.deltas`` are their messages. ``bundle`` with
``bundle_reading`` and ``bundle_file`` is the file, ``signing`` and ``pseudonyms`` protect it,
``import_export`` carries a log in and out. Above: ``exchange``. Below: ``log``, ``records``.
"""
